from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.series import Missing, divergence_step, metrics, series
from tests.analysis.runs import run


def test_nulls_are_dropped_and_nan_and_infinity_kept() -> None:
    trace = run(step=[1, 2, 3, 4, 5], loss=[1.0, None, np.nan, np.inf, 0.5])
    found = series(trace, "loss")
    assert found.step.tolist() == [1, 3, 4, 5]
    np.testing.assert_array_equal(found.y, [1.0, np.nan, np.inf, 0.5])
    assert found.finite.tolist() == [True, False, False, True]


def test_train_and_validation_rows_interleave() -> None:
    trace = run(step=[1, 1, 2, 2], loss=[3.0, None, 2.0, None], held_out_loss=[None, 3.5, None, 2.5])
    assert series(trace, "loss").y.tolist() == [3, 2]
    assert series(trace, "held_out_loss").y.tolist() == [3.5, 2.5]


def test_of_repeated_steps_the_last_counts_and_the_notes_say_so() -> None:
    found = series(run(step=[1, 2, 3, 2, 3, 4], loss=[1.0, 2.0, 3.0, 20.0, 30.0, 40.0]), "loss")
    assert found.step.tolist() == [1, 2, 3, 4] and found.y.tolist() == [1, 20, 30, 40]
    assert "2 rows repeat a step" in found.notes[0] and "fall back 1 times" in found.notes[1]


def test_rows_without_a_place_on_the_axis_are_left_out() -> None:
    trace = run(step=[1, 2, 3], loss=[3.0, 2.0, 1.0], tokens=[None, 100.0, 200.0])
    found = series(trace, "loss", "tokens")
    assert found.x.tolist() == [100, 200] and found.y.tolist() == [2, 1]
    assert "left out" in found.notes[0]


@pytest.mark.parametrize(("metric", "axis", "word"), [("bleu", "step", "bleu"), ("loss", "tokens", "token count")])
def test_what_is_missing_is_said(metric: str, axis: str, word: str) -> None:
    found = series(run(step=[1], loss=[1.0]), metric, axis)
    assert isinstance(found, Missing) and word in found.reason


def test_metrics_are_the_columns_with_values() -> None:
    trace = run(
        "r", {"validation/accuracy": "%"}, step=[1, 2], loss=[None, None], held_out_loss=[1.0, None], epoch=[1.0, 2.0],
        **{"validation/accuracy": [50.0, 60.0]},
    )  # fmt: skip
    assert metrics(trace) == ["held_out_loss", "validation/accuracy"]
    assert series(trace, "validation/accuracy").unit == "%"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"loss": [1.0, 2.0, 3.0, 1.0]}, None),
        ({"loss": [1.0, 2.0, np.inf, np.nan]}, 3),
        ({"loss": [1.0, np.nan, 2.0, 1.0]}, None),
        ({"loss": [1.0, 2.0, np.inf, np.nan], "diverged_step": 2}, 2),
        ({"loss": [1.0, 2.0, 3.0, 4.0], "status": "diverged"}, 4),
        ({"loss": [np.nan] * 4}, 1),
        ({"held_out_loss": [1.0, 2.0, 3.0, np.nan]}, None),
    ],
)
def test_divergence_is_the_manifest_s_word_or_a_loss_that_never_comes_back(given: dict, expected: int | None) -> None:
    assert divergence_step(run(step=[1, 2, 3, 4], **given)) == expected
