"""A link with thousands of things wrong gets one warning."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page(count: int) -> AppTest:
    def script(count):
        from foam_viz.optim.fields import FieldError
        from foam_viz.ui.refusals import refusals

        refusals([FieldError(f"key{n}", "\u202e1", "no setting of foam") for n in range(count)])

    return AppTest.from_function(script, kwargs={"count": count}).run()


def test_many_are_folded():
    (warning,) = page(5000).warning
    assert warning.value.count("\n- ") == 11
    assert warning.value.endswith("- and 4,990 more")
    assert "\u202e" not in warning.value


def test_one_is_a_sentence_and_none_is_nothing():
    (warning,) = page(1).warning
    assert warning.value.startswith("Not taken from the link: key0")
    assert warning.value.endswith("Settings without a usable value have their defaults.")
    assert not page(0).warning
