"""Patterns of users: what they hold, what is said of those that cannot be, and that none takes long."""

from __future__ import annotations

import pytest

from foam_viz.logs.parsing.patterns import Pattern, PatternError


def test_groups_by_name_in_any_script():
    pattern = Pattern(r"größe (?P<step>\d+): (?P<loss>\S+) ?(?P<more>x)?")
    assert list(pattern.groupindex) == ["step", "loss", "more"]
    found = pattern.search("— größe 12: 0.5µ ")
    assert found.groupdict() == {"step": "12", "loss": "0.5µ", "more": None}
    assert found.span(1) == (8, 10) and found.span(3) == (-1, -1)
    assert [found.groupdict()["step"] for found in pattern.finditer("größe 1: 2 größe 3: 4")] == ["1", "3"]
    assert pattern.search("nothing") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"(?P<step>\d+)(?=x)", "'(?=': looking ahead or behind is not supported"),
        (r"(?P<step>\d)\1", r"'\\1': a reference back to a group is not supported"),
        (r"(?P<step>\d+", "missing )"),
        ("x{1001}", "invalid repetition size: {1001}"),
    ],
)
def test_what_cannot_be_is_said(text, words):
    with pytest.raises(PatternError) as caught:
        Pattern(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", [r"^(\w+\s?)+$", r"(a*)*b", r"(a|aa)+$", r"^(a+)+!(?P<step>x)"])
def test_a_catastrophic_pattern_ends(text):
    # Python's own engine needs 2 to the power of 9,000 steps for these.
    assert Pattern(text).search("a" * 9_000 + "!") is None
