"""Fields: what they accept, refuse, read and write."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.optim.fields import LARGEST, Constraint, Field, FieldError, check_all, require


def field(kind: str, **settings) -> Field:
    return Field(**({"name": "x", "kind": kind, "default": None, "label": "X", "help": "x"} | settings))


UNIT = field("real", low=0, high=1, low_open=True, high_open=True, default=0.5, name="tau")
COUNT = field("integer", low=1, default=10, name="period")
CHOICE = field("choice", choices=(None, "sgd", "adam"), default="adam", name="grafting")
SWITCH = field("boolean", default=False, name="merge")
START = field("integer", low=1, optional=True, name="start")


@pytest.mark.parametrize(
    ("one", "value", "expected"),
    [
        (UNIT, 0.5, 0.5), (UNIT, np.float32(0.5), 0.5), (COUNT, 10.0, 10), (COUNT, np.int64(3), 3),
        (CHOICE, None, None), (CHOICE, "sgd", "sgd"), (SWITCH, True, True), (START, None, None), (START, 4, 4),
    ],
)  # fmt: skip
def test_accepts(one: Field, value: object, expected: object) -> None:
    checked = one.check(value)
    assert checked == expected and type(checked) is type(expected)


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (UNIT, 0), (UNIT, 1), (UNIT, math.nan), (UNIT, math.inf), (UNIT, "0.5"), (UNIT, None), (UNIT, True),
        (COUNT, 0), (COUNT, 2.5), (COUNT, True), (COUNT, math.inf), (COUNT, None), (CHOICE, "Adam"), (CHOICE, 1),
        (SWITCH, 1), (SWITCH, "true"), (START, 0), (field("real"), math.inf), (UNIT, [0.5]), (UNIT, 1j),
    ],
)  # fmt: skip
def test_refuses(one: Field, value: object) -> None:
    with pytest.raises(FieldError) as caught:
        one.check(value)
    error = caught.value
    assert (error.field, error.allowed) == (one.name, one.allowed())
    assert error.value is value
    assert str(error).startswith(f"{one.name} = ")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (UNIT, "a number strictly between 0 and 1"), (COUNT, "an integer at least 1"),
        (START, "an integer at least 1, or none"), (CHOICE, "one of none, sgd, adam"), (SWITCH, "true or false"),
        (field("real", low=0, low_open=True), "a number above 0 and at most 1e30"),
        (field("real"), "a number from -1e30 to 1e30"), (field("real", low=0), "a number from 0 to 1e30"),
        (field("real", low=0, high=1, high_open=True), "a number at least 0 and below 1"),
        (field("real", low=1e-12, high=10), "a number from 1e-12 to 10"), (field("integer"), "an integer"),
        (field("integer", high=8), "an integer at most 8"),
    ],
)  # fmt: skip
def test_ranges_in_words(one: Field, words: str) -> None:
    assert one.allowed() == words


@pytest.mark.parametrize(
    ("one", "text", "value"),
    [
        (UNIT, " 7.5e-1 ", 0.75), (COUNT, "1e3", 1000), (COUNT, "10.0", 10), 
        (COUNT, "12345678901234567891", 12345678901234567891),
        (START, "None", None), (CHOICE, "none", None), (CHOICE, "ADAM", "adam"), (SWITCH, "Yes", True),
        (SWITCH, "0", False),
    ],
)  # fmt: skip
def test_reads_text(one: Field, text: str, value: object) -> None:
    assert one.parse(text) == value


@pytest.mark.parametrize(
    ("one", "text"),
    [(UNIT, "nan"), (UNIT, "inf"), (UNIT, ""), (UNIT, "0,5"), (UNIT, "none"), (COUNT, "1e400"), (COUNT, "--1"),
     (COUNT, "²"), (CHOICE, "rmsprop"), (SWITCH, "maybe"), (START, "0")],
)  # fmt: skip
def test_refuses_text(one: Field, text: str) -> None:
    with pytest.raises(FieldError) as caught:
        one.parse(text)
    assert caught.value.field == one.name


@pytest.mark.parametrize(
    ("value", "text"),
    [(3e-7, "3e-7"), (1e-9, "1e-9"), (0.75, "0.75"), (10.0, "10"), (1e16, "1e16"), (10, "10"), (None, "none"),
     (True, "true"), ("adam", "adam"), (1.25e-5, "1.25e-5"), (-0.001, "-0.001")],
)  # fmt: skip
def test_writes_short_text(value: object, text: str) -> None:
    assert field("real").format(value) == text


@given(st.floats(-LARGEST, LARGEST))
def test_text_reads_back_exactly(value: float) -> None:
    one = field("real")
    assert one.parse(one.format(value)) == value


@given(st.integers())
def test_integers_read_back_exactly(value: int) -> None:
    one = field("integer")
    assert one.parse(one.format(value)) == value


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e308", "1e400"])
def test_a_number_out_of_range_is_told_the_finite_range_and_a_remedy(text: str) -> None:
    with pytest.raises(FieldError) as caught:
        field("real", default=0.01, low=0, high=1e6).parse(text)
    assert str(caught.value) == f"x = {text}: must be a number from 0 to 1000000; for example 0.01, the default"


def test_an_integer_of_any_length_is_no_overflow() -> None:
    with pytest.raises(FieldError, match="must be an integer from 0 to 5"):
        field("integer", low=0, high=5).check(10**400)


ORDER = Constraint(field="high", others=("low",), holds=lambda s: s["high"] >= s["low"], allowed="at least low = {low}")
LOW, HIGH = field("real", name="low", default=1.0), field("real", name="high", default=2.0)


def test_check_all_keeps_what_is_good() -> None:
    settings, errors = check_all([UNIT, COUNT, CHOICE], {"tau": 2.0, "period": 5, "perjod": 1, "zzz": 1})
    assert settings == {"tau": 0.5, "period": 5, "grafting": "adam"}
    assert [e.field for e in errors] == ["tau", "perjod", "zzz"]
    assert "did you mean period?" in str(errors[1])
    assert "known are grafting, period, tau" in str(errors[2])
    assert check_all([UNIT], {}) == ({"tau": 0.5}, [])


@pytest.mark.parametrize(
    ("given", "complete"),
    [({"low": 1.5, "high": 1.0}, {"low": 1.5, "high": 2.0}), ({"low": 5.0}, {"low": 1.0, "high": 2.0})],
)
def test_constraints_reset_as_little_as_possible(given: dict, complete: dict) -> None:
    settings, errors = check_all([LOW, HIGH], given, [ORDER])
    assert settings == complete
    assert [e.field for e in errors] == ["high"]
    assert f"must be at least low = {given['low']:g}" in str(errors[0])
    with pytest.raises(FieldError, match="must be at least low"):
        require([LOW, HIGH], given, [ORDER])


def test_errors_travel_between_processes_and_stay_short() -> None:
    error = pickle.loads(pickle.dumps(FieldError("tau", 1.5, "small")))
    assert (error.field, error.value, error.allowed, str(error)) == ("tau", 1.5, "small", "tau = 1.5: must be small")
    assert len(str(FieldError("tau", "9" * 500, "small"))) < 120
    assert str(FieldError("tau", None, "small")) == "tau = none: must be small"
