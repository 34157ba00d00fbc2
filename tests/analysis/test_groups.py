from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.groups import band, group_runs, inside, without_seed
from tests.analysis.runs import infos, run


def _members(*traces: object) -> list[tuple[int, ...]]:
    return [group.members for group in group_runs(traces)]


def test_configurations_that_differ_only_in_the_seed_are_one_group() -> None:
    config = {"lr": 0.01, "run_settings": {"seed": 0, "steps": 10}, "output_dir": "a", "run_name": "x"}
    other = {"lr": 0.01, "run_settings": {"seed": 7, "steps": 10}, "output_dir": "b", "run_name": "y"}
    groups = group_runs(
        [run("soap-seed0", config=config), run("adam", config={"lr": 1}), run("soap-seed7", config=other)]
    )
    assert [group.members for group in groups] == [(0, 2), (1,)]
    assert groups[0].label == "soap" and "2 runs" in groups[0].reason and groups[1].label == "adam"


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"lr": 0.02, "seed": 1}},
        {"task": "other"},
        {"optimizer": "soap"},
        {"format": "table"},
        {"factors": infos(2)},
    ],
)
def test_anything_else_that_differs_keeps_runs_apart(change: dict) -> None:
    given = {"config": {"lr": 0.01, "seed": 1}, "task": "t", "optimizer": "foam"}
    assert _members(run("a_s0", **given), run("a_s1", **{**given, **change})) == [(0,), (1,)]


def test_a_scrap_of_a_configuration_does_not_make_runs_alike() -> None:
    scrap = {"steps_planned": 3125}
    runs = [run(name, config=scrap) for name in ("KLSOAP_seed1", "SOAPH_run1", "SOAPH_run2", "PSGD_33", "PSGD_33_b")]
    assert _members(*runs) == [(0,), (1, 2), (3,), (4,)]
    assert _members(run("a_s0", config={"lr": 1}), run("a_s1", config={"lr": 2})) == [(0,), (1,)]


def test_results_in_a_configuration_are_no_difference() -> None:
    told = [
        {"lr": 1, "final_metrics": {"loss": value}, "total_time_minutes": value, "_Created": value} for value in (1, 2)
    ]
    assert _members(run("m_seed1_metrics", config=told[0]), run("m_seed2_metrics", config=told[1])) == [(0, 1)]


def test_parts_of_one_file_are_not_seeds() -> None:
    assert _members(run("norms (run 1)"), run("norms (run 2)")) == [(0,), (1,)]


def test_names_decide_where_there_is_no_configuration() -> None:
    names = [
        "soap_seed1.txt",
        "soap_seed2.txt",
        "soap",
        "kl-soap_seed1",
        "run1",
        "run2",
        "a1",
        "a2",
        "x/trial_1",
        "x/trial_2",
    ]
    assert _members(*(run(name) for name in names)) == [(0, 1), (2,), (3,), (4, 5), (6,), (7,), (8, 9)]


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("soap_seed137", "soap"),
        ("soap_s0", "soap"),
        ("foam-run12-long", "foam-long"),
        ("seed=3/adam", "adam"),
        ("adamw_2024-06-06", "adamw_2024-06-06"),
        ("muons2", "muons2"),
        ("lr0.001", "lr0.001"),
    ],
)
def test_what_numbers_a_seed_goes_and_nothing_else(name: str, bare: str) -> None:
    assert without_seed(name) == bare


def test_a_band_of_few_runs_is_their_range_and_of_many_the_deviation() -> None:
    x = np.arange(5.0)
    curves = [(x, np.full(5, float(value))) for value in (1, 2, 6)]
    few = band(curves)
    assert (few.kind, few.mean[0], few.low[0], few.high[0], few.count[0]) == ("range", 3, 1, 6, 3)
    assert "3 runs" in few.note and "smallest to largest" in few.note
    values = [1.0, 2.0, 3.0, 4.0, 9.0]
    many = band([(x, np.full(5, value)) for value in values])
    assert many.kind == "deviation" and "5 runs" in many.note
    np.testing.assert_allclose(many.high - many.mean, np.std(values, ddof=1))


def test_bands_never_reach_beyond_a_run() -> None:
    whole = band([(np.array([0.0, 10.0]), np.array([0.0, 10.0])), (np.array([4.0, 6.0]), np.array([0.0, 0.0]))])
    assert whole.x.tolist() == [0, 4, 6, 10] and whole.count.tolist() == [1, 2, 2, 1]
    np.testing.assert_allclose(whole.mean, [0, 2, 3, 10])
    np.testing.assert_allclose(whole.low, [0, 0, 0, 10])


def test_interpolation_against_a_loop() -> None:
    random = np.random.default_rng(3)
    x = np.cumsum(random.random(40))
    y = random.standard_normal(40)
    y[[5, 20, 21]] = np.nan, np.inf, np.nan
    grid = np.sort(np.concatenate([random.uniform(-1, x[-1] + 1, 200), x]))
    expected = []
    for place in grid:
        value = np.nan
        for i in range(40):
            if place == x[i]:
                value = y[i]
            elif i and x[i - 1] < place < x[i]:
                value = y[i - 1] + (place - x[i - 1]) / (x[i] - x[i - 1]) * (y[i] - y[i - 1])
        expected.append(value if np.isfinite(value) else np.nan)
    np.testing.assert_allclose(inside(x, y, grid), expected)


def test_a_run_that_diverged_leaves_the_mean_and_the_note_says_so() -> None:
    x = np.arange(4.0)
    whole = band([(x, np.array([1.0, 1.0, 1.0, 1.0])), (x, np.array([3.0, 3.0, np.inf, np.nan]))])
    assert whole.mean.tolist() == [2, 2, 1, 1] and whole.count.tolist() == [2, 2, 1, 1]
    assert "1 of them had values that are not finite" in whole.note


@pytest.mark.parametrize("seed", range(12))
def test_a_thinned_band_keeps_every_extreme(seed: int) -> None:
    """Of the mean and of both edges, at random lengths, numbers of runs and places."""
    random = np.random.default_rng(seed)
    curves = []
    for _ in range(int(random.integers(2, 9))):
        x = np.cumsum(random.integers(1, 4, int(random.integers(2_000, 9_000)))).astype(float)
        y = random.standard_normal(len(x))
        y[random.integers(0, len(x))] = 80 * random.standard_normal()  # a single step that a grid of places would miss
        curves.append((x, y))
    whole, thin = band(curves, points=10**9), band(curves, points=100)
    assert len(thin.x) <= 400 < len(whole.x)
    assert (thin.x[0], thin.x[-1]) == (whole.x[0], whole.x[-1])
    for line in ("mean", "low", "high"):
        drawn, all_of_it = getattr(thin, line), getattr(whole, line)
        assert (drawn.min(), drawn.max()) == (all_of_it.min(), all_of_it.max())
        np.testing.assert_array_equal(drawn, all_of_it[np.searchsorted(whole.x, thin.x)])


def test_a_band_at_every_place_against_a_table() -> None:
    random = np.random.default_rng(1)
    for runs in (3, 6):
        curves = [(np.arange(50.0), 1e6 + random.standard_normal(50)) for _ in range(runs)]
        whole, table = band(curves), np.stack([y for _, y in curves])
        spread = table.std(axis=0, ddof=1)
        edges = (table.mean(axis=0) - spread, table.mean(axis=0) + spread)
        low, high = (table.min(axis=0), table.max(axis=0)) if runs == 3 else edges
        np.testing.assert_allclose(whole.mean, table.mean(axis=0), rtol=1e-15)
        np.testing.assert_allclose(whole.low, low, rtol=1e-13)
        np.testing.assert_allclose(whole.high, high, rtol=1e-13)


def test_a_gap_of_all_runs_stays_a_gap_when_thinned() -> None:
    x = np.arange(10_000.0)
    y = np.where((x > 4_000) & (x < 5_000), np.nan, 1.0)
    thin = band([(x, y), (x, y + 1)], points=100)
    inner = (thin.x > 4_000) & (thin.x < 5_000)
    assert inner.any() and np.isnan(thin.mean[inner]).all() and np.isnan(thin.high[inner]).all()
    assert (thin.count[inner] == 0).all() and np.isfinite(thin.mean[~inner]).all()


def test_the_grid_is_thinned_and_keeps_its_ends() -> None:
    x = np.arange(10_000.0)
    whole = band([(x, x), (x + 0.5, x)], points=100)
    assert len(whole.x) <= 300 and whole.x[0] == 0 and whole.x[-1] == 9999.5
    assert len(band([(np.empty(0), np.empty(0))]).x) == 0
