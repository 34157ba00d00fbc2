"""The catalogue of links: what is written is read again, and what cannot be is named with its range."""

from __future__ import annotations

import pytest

from foam_viz.experiment.config import RUN_FIELDS
from foam_viz.figures.look_fields import LONGEST_NAME
from foam_viz.tasks.catalogue import TASKS
from foam_viz.ui import address

LOGS = {
    "tab": "inspect", "x": "tokens", "log_x": True, "target": 3.5, "at": 120.0, "metric": ("a/b", "loss"),
    "sample": ("s", "t"), "runs": ("sample/s", "0f/läuft = 1"), "run": "0f/läuft = 1", "baseline": "sample/s",
    "live": "a" * 32, "factor": 3, "moment": 40, "loss_axis": "decompositions", "loss_log": False,
}  # fmt: skip


@pytest.mark.parametrize("page", address.PAGES)
def test_a_page_without_a_link_has_an_address_without_one(page: str) -> None:
    assert address.write(page, address.defaults(page)) == {}
    assert address.read(page, {}) == (address.defaults(page), [], {})


def test_what_is_written_is_read_again() -> None:
    values = address.defaults("logs") | LOGS
    assert address.read("logs", address.write("logs", values)) == (values, [], {})
    values = address.defaults("logs") | {"sample": ()}
    assert address.write("logs", values) == {"sample": ["none"]}
    assert address.read("logs", {"sample": ["none"]})[0] == values


def test_links_of_the_first_releases_mean_what_they_meant() -> None:
    query = {"x": ["fair_time"], "at": ["120"], "metric": ["loss", "held_out_loss"], "sample": ["s"], "scale": ["7"]}
    values, refused, rest = address.read("logs", query)
    assert not refused and not rest
    assert (values["x"], values["at"], values["scale"]) == ("fair_time", 120.0, 7.0)
    assert (values["metric"], values["sample"]) == (("loss", "held_out_loss"), ("s",))


@pytest.mark.parametrize(
    ("page", "key", "text", "range_"),
    [
        ("logs", "x", "sideways", "one of step"),
        ("logs", "scale", "nan", "from 0 to 1000000000"),
        ("logs", "at", "-1", "from 0 to"),
        ("logs", "moment", "2.5", "an integer"),
        ("logs", "metric", "m" * (LONGEST_NAME + 1), "names"),
        ("logs", "live", "../../etc", "32 hexadecimal digits"),
        ("logs", "baseline", "a\nb", "an open run"),
        ("lab", "run", "A" * 32, "32 hexadecimal digits"),
        ("lab", "steps_per_second", "9e9", "1, 5, 25, full"),
        ("lab", "followed_lane", "-1", "from 0"),
        ("lab", "device", "cuda; rm", "a device"),
    ],
)
def test_a_value_that_is_refused_is_named_with_its_range_and_the_rest_holds(page, key, text, range_) -> None:
    values, (error,), rest = address.read(page, {key: [text], "factor": ["2"]})
    assert error.field == key
    assert str(error).startswith(f"{key} = ") and range_ in str(error)
    assert values == address.defaults(page) | {"factor": 2}
    assert not rest


def test_unknown_keys_are_handed_on_and_named_with_their_neighbours() -> None:
    values, refused, rest = address.read("logs", {"smothing": ["none"], "seed": []})
    assert (values, refused, rest) == (address.defaults("logs"), [], {"smothing": ["none"]})
    (error,) = address.unknown("logs", rest)
    assert "did you mean smoothing" in str(error)


def test_too_many_values_are_named_and_the_first_are_kept() -> None:
    values, (error,), _ = address.read("logs", {"metric": [f"m{i}" for i in range(9)]})
    assert values["metric"] == ("m0", "m1", "m2", "m3")
    assert "9 values" in str(error) and "at most 4" in str(error)


def test_a_list_that_is_too_long_for_a_link_is_kept_by_the_browser() -> None:
    values = address.defaults("logs") | {"runs": tuple(f"{i:016x}/{'r' * 60}" for i in range(100))}
    assert address.write("logs", values)["runs"] == [address.KEPT]
    assert address.read("logs", address.write("logs", values, whole=True))[0] == values


def test_no_two_values_of_the_lab_share_a_name() -> None:
    """A configuration stands in the same link: its fields, of whatever task, may have none of the page's names."""
    names = [item.name for item in address.LAB]
    assert len(set(names)) == len(names)
    for spec in TASKS.values():
        fields = {field.name for field in (*spec.fields, *RUN_FIELDS)} | {"task", "lane", "v"}
        assert not fields & set(names), spec.name
