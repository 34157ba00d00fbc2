from __future__ import annotations

import math

import numpy as np
import pytest

from foam_viz.analysis import targets
from foam_viz.analysis.comparison import compare
from foam_viz.analysis.series import series
from foam_viz.analysis.smoothing import Smoothing
from tests.analysis.runs import losses, run


def _curve(loss: list, step: list | None = None, axis: str = "step", **more: object):
    return series(run(step=step or list(range(1, len(loss) + 1)), loss=loss, **more), "loss", axis)


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("loss", "lower"),
        ("validation/accuracy", "higher"),
        ("val_acc", "higher"),
        ("test/bleu", "higher"),
        ("score", "higher"),
        ("top1", "higher"),
        ("validation/ssim", "higher"),
        ("wer", "lower"),
        ("train_full_hard_ce", "lower"),
        ("perplexity", "lower"),
        ("total_seconds", "lower"),
        ("decompositions", "lower"),
        ("something", "lower"),
        ("accelerator_error", "lower"),
    ],
)
def test_which_way_is_better(metric: str, way: str) -> None:
    assert targets.direction(metric) == way
    assert targets.direction(metric, {metric: "higher"}) == "higher"


def test_best_last_and_at_a_step() -> None:
    curve = _curve([5.0, 1.0, np.nan, 1.0, 4.0, 3.0], [10, 20, 30, 40, 50, 60])
    best = targets.best(curve, "lower")
    assert (best.value, best.step) == (1.0, 20) and targets.best(curve, "higher").step == 10
    assert targets.last(curve).value == 3.5 and targets.last(curve).words == "mean of 2 values, steps 50 to 60"
    near = _curve([1.0, np.nan, 4.0], [58, 59, 60])
    assert math.isnan(targets.last(near).value) and "1 of them not finite" in targets.last(near).words
    seldom = _curve([1.0, 4.0, 3.0], [20, 40, 60])
    assert targets.last(seldom).value == 3.0 and targets.last(seldom).words == "at step 60"
    assert targets.at_step(curve, 40).value == 1 and targets.at_step(curve, 40).words == ""
    assert targets.at_step(curve, 45).value == 1 and "step 40" in targets.at_step(curve, 45).words
    assert "ended at step 60" in targets.at_step(curve, 61).words and math.isnan(targets.at_step(curve, 61).value)
    assert math.isnan(targets.at_step(curve, 5).value)


def test_the_first_crossing_with_and_without_interpolation() -> None:
    seconds = [1.0, 2.0, 4.0, 8.0]
    curve = _curve([4.0, 3.0, 1.0, 2.0], [10, 20, 30, 40], "fair_time", optimizer_seconds=seconds)
    plain = targets.reach(curve, 2.0, "lower")
    assert (plain.step, plain.x, plain.value, plain.since, plain.interpolated) == (30, 4.0, 1.0, 20, False)
    between = targets.reach(curve, 2.0, "lower", interpolate=True)
    assert (between.step, between.x, between.value) == (25, 3.0, 2.0) and "interpolated" in between.words
    assert targets.reach(curve, 3.0, "lower", interpolate=True).step == 20


def test_higher_is_better_too() -> None:
    assert targets.reach(_curve([0.1, 0.5, 0.7]), 0.5, "higher").step == 2


def test_what_is_not_reached_is_censored_at_the_last_value() -> None:
    reach = targets.reach(_curve([4.0, np.nan, 2.5]), 1.0, "lower")
    assert not reach.reached and reach.step == 3 and reach.words == "not reached by step 3"


def test_a_value_past_the_target_from_the_start_may_have_been_so_before() -> None:
    reach = targets.reach(_curve([0.5, 0.4], [50, 60]), 1.0, "lower")
    assert reach.reached and math.isnan(reach.since) and "the first value logged" in reach.words


def test_nothing_is_reached_after_a_divergence_and_never_by_infinity() -> None:
    diverged = _curve([3.0, 2.0, np.inf, np.nan, -np.inf])
    assert targets.reach(diverged, 1.0, "lower").status == "diverged"
    assert "diverged after step 2" in targets.reach(diverged, 1.0, "lower").words
    assert targets.reach(diverged, 2.5, "lower").step == 2
    later = _curve([3.0, 2.0, 0.5], diverged_step=3)
    assert targets.reach(later, 1.0, "lower").status == "diverged"
    assert targets.reach(_curve([-np.inf, 3.0, 2.0]), 1.0, "lower").status == "not reached"


@pytest.mark.parametrize(
    ("mine", "other", "ratio", "bound", "words"),
    [
        ([4, 0.5, 0, 0], [4, 3, 2, 1], 2.0, "exact", "2.00×"),
        ([4, 0.5, 0, 0], [4, 3, 2, 2], 2.0, "at least", "≥ 2.00×"),
        ([4, 3, 2, 2], [4, 0.5, 0, 0], 0.5, "at most", "not reached by step 4"),
        ([4, 3, 2, 2], [4, 3, 2, 2], math.nan, "none", "not reached"),
        ([4, 3, np.nan, np.nan], [4, 0.5, 0, 0], math.nan, "none", "diverged"),
        ([4, 0.5, 0, 0], [4, 3, np.nan, np.nan], math.nan, "none", "baseline diverged"),
    ],
)
def test_speed_ups_carry_what_was_not_reached(mine: list, other: list, ratio: float, bound: str, words: str) -> None:
    reaches = [targets.reach(_curve([float(v) for v in loss]), 1.0, "lower") for loss in (mine, other)]
    found = targets.speed_up(*reaches)
    assert found.bound == bound and words in found.words
    assert found.ratio == pytest.approx(ratio, nan_ok=True)


def test_the_table_of_a_comparison() -> None:
    fast, slow = (
        run("fast", step=np.arange(1, 601), loss=losses()),
        run("slow", step=np.arange(2, 1202, 2), loss=losses()),
    )
    without = run("none", step=[1], held_out_loss=[1.0])
    smoothing = Smoothing("ema", 5.0)
    rows = compare([fast, slow, without], "loss", target=0.5, baseline=1, smoothing=smoothing, at=100)
    assert rows[0].speed_up.bound == "exact" and rows[0].speed_up.ratio == pytest.approx(2, rel=0.1)
    assert rows[1].speed_up is None and rows[1].reach.reached
    assert rows[0].best.value == losses().min() and rows[0].last.value == pytest.approx(losses()[-20:].mean())
    assert rows[0].at.value == losses()[99] and rows[1].at.value == losses()[49]
    assert rows[2].missing and rows[2].best is None
    raw = compare([fast], "loss", target=0.5)[0].reach
    assert raw.step == np.argmax(losses() <= 0.5) + 1 and raw.step < rows[0].reach.step
