from __future__ import annotations

import pytest

from foam_viz.logs.parsing.dates import iso_date


@pytest.mark.parametrize("time", [None, "", "soon", "nan", 0, -5, float("inf"), float("nan"), 1e300, 1e17, "9" * 400])
def test_what_is_no_date_is_left_out(time: object) -> None:
    assert iso_date(time) == ""


def test_a_date() -> None:
    assert iso_date(1_700_000_000) == iso_date("1700000000000", per_second=1000) == "2023-11-14T22:13:20+00:00"
