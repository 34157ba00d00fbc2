"""Text on a page."""

from __future__ import annotations

import pytest

from foam_viz.ui.text import whole


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("At f = 10 it is 6.2e-4.", "At f\u00a0=\u00a010 it is 6.2e\u2060-\u20604."),
        ("1e-3 > h", "1e\u2060-\u20603\u00a0>\u00a0h"),
        ("no-one breaks = alone", "no-one breaks\u00a0=\u00a0alone"),
        ("> a quotation stays one", "> a quotation stays one"),
    ],
)
def test_no_line_breaks_inside_an_equation_or_a_number(text: str, kept: str) -> None:
    assert whole(text) == kept
