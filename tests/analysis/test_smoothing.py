from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foam_viz.analysis.smoothing import Smoothing, centred_mean, ema


def _slow_ema(x: np.ndarray, y: np.ndarray, scale: float) -> list[float]:
    gaps = [b - a for a, b in zip(x[:-1], x[1:], strict=True)]
    positive = [gap for gap in gaps if gap > 0]
    total = weight = 0.0
    out = []
    for i, value in enumerate(y):
        gap = gaps[i - 1] if i else float(np.median(positive)) if positive else scale
        decay = math.exp(-gap / scale)
        total, weight = decay * total, decay * weight
        if math.isfinite(value):
            total, weight = total + (1 - decay) * value, weight + (1 - decay)
            out.append(total / weight if weight > 0 else value)
        else:
            out.append(value)
    return out


def _slow_window(x: np.ndarray, y: np.ndarray, width: float) -> list[float]:
    """Integral of the broken line, a segment at a time."""
    out = []
    for at, value in zip(x, y, strict=True):
        known = x[np.isfinite(y)]
        half = max(min(width / 2, at - known[0], known[-1] - at), 0.0) if len(known) else 0.0
        low, high = at - half, at + half
        area = length = 0.0
        for x0, x1, y0, y1 in zip(x[:-1], x[1:], y[:-1], y[1:], strict=True):
            a, b = max(low, x0), min(high, x1)
            if b <= a or not (math.isfinite(y0) and math.isfinite(y1)):
                continue
            ya, yb = (y0 + (y1 - y0) * (t - x0) / (x1 - x0) for t in (a, b))
            area, length = area + (b - a) * (ya + yb) / 2, length + b - a
        out.append(area / length if half > 0 and math.isfinite(value) and length > 1e-9 * width else value)
    return out


def _curve(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = np.cumsum(random.integers(1, 30, count)).astype(float)
    y = random.standard_normal(count)
    y[random.random(count) < 0.1] = random.choice([np.nan, np.inf, -np.inf])
    return x, y


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 120), st.sampled_from([0.3, 5.0, 40.0, 3000.0]))
def test_both_against_slow_references(seed: int, count: int, scale: float) -> None:
    x, y = _curve(seed, count)
    np.testing.assert_allclose(ema(x, y, scale), _slow_ema(x, y, scale), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(centred_mean(x, y, scale), _slow_window(x, y, scale), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["ema", "window"])
def test_smoothing_does_not_depend_on_how_often_a_run_logged(kind: str) -> None:
    x = np.arange(0, 5001, dtype=float)
    y = np.exp(-x / 1500) + 0.2 * np.sin(x / 200)
    random = np.random.default_rng(0)
    whole = Smoothing(kind, 150.0)(x, y)
    for rows in (np.arange(0, 5001, 10), np.sort(random.choice(5001, 900, replace=False))):
        sparse = Smoothing(kind, 150.0)(x[rows], y[rows])
        late = x[rows] > 600
        assert np.abs(sparse - whole[rows])[late].max() < 0.012
    # As a contrast: a mean over so many rows instead of steps is far off.
    assert np.abs(ema(np.arange(501.0), y[::10], 150.0) - whole[::10])[60:].max() > 0.05


def test_a_dense_stretch_does_not_outweigh_a_sparse_one() -> None:
    x = np.concatenate([np.arange(0, 100, 0.01), np.arange(100, 201, 1)])
    y = np.where(x < 100, 0.0, 1.0)
    assert ema(x, y, 100.0)[-1] == pytest.approx(1 - math.exp(-1) / (1 - math.exp(-2)) * (1 - math.exp(-1)), abs=0.01)
    assert centred_mean(x, y, 200.0)[np.searchsorted(x, 100.0)] == pytest.approx(0.5, abs=0.01)


def test_a_constant_stays_from_its_first_value() -> None:
    x = np.array([1.0, 5.0, 6.0, 100.0])
    for smooth in (Smoothing("ema", 50.0), Smoothing("window", 50.0)):
        np.testing.assert_allclose(smooth(x, np.full(4, 3.0)), 3.0)


def test_a_straight_line_stays_itself_and_a_burst_stays_at_its_step() -> None:
    """Neither early nor late: a window cut at one end reads high where the curve falls."""
    x = np.arange(1.0, 601.0)
    line = 10.0 - 0.01 * x
    np.testing.assert_allclose(centred_mean(x, line, 20.0), line)
    burst = np.full(600, 0.3)
    burst[399] = 15.5
    smooth = centred_mean(x, burst, 20.0)
    touched = x[smooth > 0.31]
    assert touched.min() >= 389 and touched.max() <= 411 and abs(touched.mean() - 400) < 0.6
    falling = np.concatenate([line, [np.nan, np.inf]])
    np.testing.assert_allclose(centred_mean(np.arange(1.0, 603.0), falling, 20.0)[:600], line)


def test_gaps_stay_gaps_and_do_not_spread() -> None:
    x, y = np.arange(6.0), np.array([1.0, 1.0, np.nan, np.inf, 1.0, 1.0])
    for smooth in (Smoothing("ema", 3.0), Smoothing("window", 3.0)):
        np.testing.assert_array_equal(smooth(x, y), y)


def test_one_huge_value_does_not_drown_what_comes_later() -> None:
    x, y = np.arange(2000.0), np.full(2000, 0.5)
    y[100] = 1e25
    for smooth in (Smoothing("ema", 10.0), Smoothing("window", 20.0)):
        np.testing.assert_allclose(smooth(x, y)[1500:], 0.5, rtol=1e-9)


def test_nothing_asked_is_nothing_done() -> None:
    y = np.array([1.0, 2.0])
    assert Smoothing()(np.arange(2.0), y).tolist() == [1, 2] == Smoothing("ema", 0.0)(np.arange(2.0), y).tolist()
    assert len(Smoothing("ema", 5.0)(np.empty(0), np.empty(0))) == 0
