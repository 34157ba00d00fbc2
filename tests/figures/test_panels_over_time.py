"""Panels that show what was: the spectrum and the turn of a basis over time, what was spent, lanes side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.analysis.snapshots_over_time import newest_values, spectra_of, turns_of
from foam_viz.analysis.spending import spending
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME
from foam_viz.figures.panels import cost, multiples, turn, waterfall
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import Trace, record_batch
from tests.figures.reading import for_high_cards, trace, values
from tests.synthetic import SyntheticRun


@pytest.fixture(scope="module")
def foam() -> Lane:
    return Lane(SyntheticRun("foam").advance(4000).trace, "FOAM", 0)


def test_a_column_of_the_waterfall_is_a_snapshot_and_its_lines_count_directions(foam: Lane) -> None:
    spectra = spectra_of(foam.trace, 0)
    assert spectra.eigenvalues.shape == (200, 128)
    drawing = waterfall.draw(Scene([foam], Look(factor=0)))
    drawn = trace(drawing.figure, "spectra")
    edges, map_ = values(drawn["x"]), values(drawn["z"])
    assert map_.shape == (64, len(edges) - 1) and len(edges) <= 129
    assert np.isin(edges[:-1], spectra.step).all(), "each column is a snapshot that was taken"
    rows = np.searchsorted(spectra.step, edges[:-1])
    down = (drawn["y0"] + drawn["dy"] * np.arange(64) - (drawn["dy"] + 1) / 2).astype(int)
    assert np.abs(map_ - np.log10(spectra.eigenvalues[np.ix_(rows, down)]).T).max() <= 1 / 32 + 1e-6
    settings = foam.trace.manifest.config["optimizer_settings"]
    for name, level in (("epsilon", settings["epsilon"]), ("epsilon_max", settings["epsilon_max"])):
        line = values(trace(drawing.figure, name)["y"]) - 0.5
        assert line[:-1].tolist() == (spectra.eigenvalues[rows] > level).sum(axis=1).tolist()
    in_force = values(trace(drawing.figure, "epsilon_t")["y"]) - 0.5
    assert in_force[:-1].tolist() == (spectra.eigenvalues[rows] > spectra.epsilon[rows, None]).sum(axis=1).tolist()
    assert "of 200 drawn" in drawing.moment and "εₜ leaves" in drawing.reading


def test_a_run_that_grows_is_read_row_by_row_and_ends_the_same() -> None:
    run = SyntheticRun("foam")
    for _ in range(8):
        run.advance(500)
        (
            spectra_of(run.trace.view(), 0),
            turns_of(run.trace.view(), 0),
            newest_values(run.trace.view(), "true_error", 18),
        )
        spending(run.trace.view())
    whole = run.trace.truncated(4000).view()  # another trace: nothing of it is known
    for known, once in ((spectra_of(run.trace.view(), 0), spectra_of(whole, 0)),
                        (turns_of(run.trace.view(), 0), turns_of(whole, 0))):  # fmt: skip
        for name, array in vars(once).items():
            assert np.array_equal(getattr(known, name), array, equal_nan=True), name
    assert spending(run.trace.view()) == spending(whole)


def test_a_turn_begins_at_nothing_with_each_decomposition(foam: Lane) -> None:
    turns = turns_of(foam.trace, 0)
    drawing = turn.draw(Scene([foam], Look(factor=0)))
    drawn = trace(drawing.figure, "turn")
    x, y = values(drawn["x"]), values(drawn["y"])
    gaps = np.flatnonzero(np.isnan(y))
    assert len(gaps) > 5 and np.isin(x[gaps + 1], turns.since).all() and (y[gaps + 1] == 0).all()
    real = np.ones(len(x), bool)
    real[gaps] = real[gaps + 1] = False
    recorded = dict(zip(turns.step.tolist(), (100 * turns.turn).tolist(), strict=True))
    assert all(abs(recorded[int(step)] - value) < 1e-4 for step, value in zip(x[real], y[real], strict=True))
    assert "top 8 directions" in drawing.reading and drawing.moment == f"snapshot of step {turns.step[-1]:,}"


def _spent(period: int, decomposes: list[int], steps: int = 100) -> Trace:
    run = SyntheticRun("foam")
    run.trace.manifest = run.trace.manifest.with_(factors=run.trace.manifest.factors[:2])
    step = np.arange(1, steps + 1)
    checked, done = step % period == 0, np.isin(step, decomposes)
    seconds = np.cumsum(1.0 + 2.0 * checked + 10.0 * done)
    run.trace.append("steps", record_batch("steps", {"step": step, "loss": 1 / step, "optimizer_seconds": seconds}))
    at = step[checked]
    for factor in (0, 1):
        rows = {"step": at, "factor": np.full(len(at), factor), "checks": np.ones(len(at), int)}
        run.trace.append("checks", record_batch("checks", {**rows, "decompositions": done[checked].astype(int)}))
    return run.trace


def test_seconds_are_told_apart_by_what_steps_did() -> None:
    spent = spending(_spent(5, [10, 50, 90]).view())
    assert spent.parts == pytest.approx({"every step": 100, "check": 40, "decomposition": 30})
    assert (spent.count, spent.checked, spent.total) == (6, 40, pytest.approx(170))
    assert spent.all_decomposed == pytest.approx(140 + 200)
    lane = Lane(_spent(5, [10, 50, 90]), "FOAM", 0)
    drawing = cost.draw(Scene([lane], Look()))
    assert values(trace(drawing.figure, "decomposition")["x"]).tolist() == pytest.approx([30])
    assert drawing.figure["layout"]["shapes"][0]["x1"] == pytest.approx(340)
    assert "18" in drawing.reading and "6 decompositions" in drawing.reading


def test_seconds_that_cannot_be_told_apart_stay_together() -> None:
    every = spending(_spent(1, [10]).view())
    assert (
        every.decompositions is None and every.total == pytest.approx(100 + 200 + 10) and every.all_decomposed is None
    )
    sparse = SyntheticRun("foam").trace
    rows = {"step": [10, 20, 30], "loss": [1.0, 1.0, 1.0], "optimizer_seconds": [1.0, 2.0, 3.5]}
    sparse.append("steps", record_batch("steps", rows))
    told = spending(sparse.view())
    assert (told.first, told.last, told.parts) == (11, 30, {"every step": 2.5})


def _timed(**seconds: float) -> Lane:
    run = SyntheticRun("foam").advance(100)
    each = np.arange(1, 101) / 100
    rows = {name: each * value for name, value in seconds.items()}
    optimizer = sum(value for name, value in rows.items() if name != "gradient_seconds")
    fresh = SyntheticRun("foam").trace
    fresh.append("steps", record_batch("steps", {"step": np.arange(1, 101), "optimizer_seconds": optimizer, **rows}))
    fresh.append("checks", run.trace.checks)
    return Lane(fresh, "FOAM", 0)


def test_phases_that_were_timed_are_shown_as_timed() -> None:
    seconds = {"gradient": 9.0, "statistics": 4.0, "check": 2.0, "decomposition": 3.0, "update": 1.0}
    lane = _timed(**{f"{name}_seconds": value for name, value in seconds.items()})
    spent = spending(lane.trace)
    assert spent.timed and spent.parts == pytest.approx(seconds) and spent.total == pytest.approx(10)
    assert spent.each == pytest.approx(3 / spent.count)
    drawing = cost.draw(Scene([lane], Look()))
    drawn = {entry["name"]: values(entry["x"]).tolist() for entry in drawing.figure["data"] if entry["type"] == "bar"}
    assert drawn == {"gradient": [9], "statistics": [4], "check": [2], "decompose": [3], "apply": [1]}
    assert "3 × " in (name := drawing.figure["layout"]["yaxis"]["ticktext"][0]) and "iB" in name  # not only on hover
    assert "30" in drawing.reading and "about" not in drawing.reading
    alone = cost.draw(Scene([lane], Look(cost="decompositions")))
    assert [entry["meta"]["series"] for entry in alone.figure["data"]] == ["decomposition"]
    assert f"{spent.count:,} × " in alone.figure["layout"]["yaxis"]["ticktext"][0]


def test_norms_are_drawn_with_their_step_when_asked() -> None:
    run = SyntheticRun("foam").advance(100)
    bare = BY_ID["loss"].draw(Scene([Lane(run.trace, "FOAM", 0)], Look(quantity="norms")))
    assert bare.figure is None and "appear" in bare.empty
    fresh = SyntheticRun("foam").trace
    step = np.arange(1, 31)
    norms = {
        name: [float(s) if s % 10 == 0 or s == 1 else None for s in step] for name in ("gradient_norm", "update_norm")
    }
    fresh.append("steps", record_batch("steps", {"step": step, "loss": 1 / step, **norms}))
    drawing = BY_ID["loss"].draw(Scene([Lane(fresh, "FOAM", 0)], Look(quantity="norms")))
    for name in ("gradient ‖G‖", "update ‖ΔW‖"):
        drawn = trace(drawing.figure, name)
        assert values(drawn["x"]).tolist() == values(drawn["y"]).tolist() == [1, 10, 20, 30]
    assert "gradient ‖G‖ 30" in drawing.reading and drawing.moment == "norms of step 30"
    past = BY_ID["loss"].draw(Scene([Lane(fresh, "FOAM", 0)], Look(quantity="norms", at=25)))
    assert past.moment == "norms of step 20"
    assert past.figure["layout"]["xaxis"]["range"] == drawing.figure["layout"]["xaxis"]["range"]


@pytest.mark.parametrize("kind", BY_NAME["side_by_side"].choices)
def test_lanes_side_by_side_have_axes_of_their_own_with_one_range(kind: str, lanes: list[Lane]) -> None:
    drawing = multiples.draw(Scene(lanes, Look(factor=0, side_by_side=kind)))
    go.Figure(drawing.figure)
    layout = drawing.figure["layout"]
    names = {note["text"] for note in layout["annotations"]}
    assert names == {"FOAM", "Shampoo f = 50", "DR"} and "AdamW" in drawing.reading
    for drawn in drawing.figure["data"]:
        for axis in (drawn["xaxis"], drawn["yaxis"]):
            assert f"{axis[0]}axis{axis[1:]}" in layout
    across = [axis["domain"] for name, axis in layout.items() if name.startswith("xaxis")]
    assert len(across) == 3 and all(one[1] < other[0] for one, other in zip(across, across[1:], strict=False))
    ranges = [axis["range"] for name, axis in layout.items() if name.startswith("xaxis")]
    assert all(span == ranges[0] for span in ranges)
    if kind == "damping":
        spans = [layout[name]["range"] for name in ("yaxis", "yaxis11")]
        assert spans[0] == spans[1]
    for_high_cards(layout, across=1)
    twice = [replace(lane, position=place) for place, lane in enumerate([*lanes[:3], *lanes[:3]])]
    for_high_cards(multiples.draw(Scene(twice, Look(factor=0, side_by_side=kind))).figure["layout"], across=2)


def test_moments_of_lanes_that_differ_by_their_steps_are_one() -> None:
    runs = [SyntheticRun("foam").advance(steps).trace for steps in (1_200, 1_150, 1_150)]
    lanes = [Lane(run, f"FOAM {place}", place) for place, run in enumerate(runs)]
    ends = sorted(str(multiples.draw(Scene([lane], Look(side_by_side="raster"))).moment) for lane in lanes[:2])
    assert ends == ["steps to 1,150", "steps to 1,200"]
    assert multiples.draw(Scene(lanes, Look(side_by_side="raster"))).moment == "steps to 1,150–1,200"


def test_what_each_lane_adds_to_its_moment_is_left_out_where_it_differs() -> None:
    told = ["snapshot of step 1,060, before its check decided", "snapshot of step 1,060; last check 1,061"]
    assert multiples._together(told) == "snapshot of step 1,060"
    assert multiples._together([*told, "snapshot of step 1,040"]) == "snapshot of step 1,040–1,060"
    assert multiples._together(["one", "another"]) == "one; another"


def test_turns_of_all_lanes_lie_on_the_axis() -> None:
    """Each curve is drawn whole, not that of the followed lane alone."""
    calm, wild = SyntheticRun("foam", seed=1).advance(300).trace, SyntheticRun("shampoo", seed=2).advance(300).trace
    lanes = [Lane(calm, "FOAM", 0), Lane(wild, "Shampoo", 1)]
    for lane in range(2):
        drawing = turn.draw(Scene(lanes, Look(lane=lane, factor=0)))
        drawn = [values(entry["y"]) for entry in drawing.figure["data"] if entry["meta"]["series"] == "turn"]
        assert len(drawn) == 2
        assert max(np.nanmax(each) for each in drawn) <= drawing.figure["layout"]["yaxis"]["range"][1]


def test_the_reading_of_costs_fits_into_a_card_however_many_lanes() -> None:
    seconds = {"gradient_seconds": 9.0, "update_seconds": 1.0, "statistics_seconds": 4.0, "decomposition_seconds": 3.0}
    lanes = [replace(_timed(**seconds), label=f"{place} FOAM of a long name", position=place) for place in range(6)]
    drawing = cost.draw(Scene(lanes, Look()))
    assert len(drawing.reading) <= 92 and "0 FOAM" in drawing.reading
    hovered = drawing.figure["data"][0]["customdata"]
    assert len(hovered) == 6 and all("decompositions" in words for words in hovered)


def test_bars_of_lanes_without_a_phase_stand_in_their_place(lanes: list[Lane]) -> None:
    """The browser moves and stacks bars by their place in the array: every part has one for each lane."""
    seconds = {"gradient_seconds": 9.0, "update_seconds": 1.0}
    both = [_timed(**seconds, statistics_seconds=4.0, decomposition_seconds=3.0), lanes[3], _timed(**seconds)]
    bars = [entry for entry in cost.draw(Scene(both, Look())).figure["data"] if entry["type"] == "bar"]
    assert all(len(values(entry["x"])) == len(entry["y"]) == 3 for entry in bars)


def test_cost_says_of_which_steps_it_is() -> None:
    """A log whose first seconds are of a later step tells nothing of what was before."""
    log = SyntheticRun("foam").trace
    log.append("steps", record_batch("steps", {"step": [32, 60], "optimizer_seconds": [6.85, 11.5]}))
    drawing = cost.draw(Scene([Lane(log, "FOAM", 0)], Look()))
    assert drawing.moment == "steps 33 to 60" and drawing.reading.startswith("optimizer 4.65")
    whole = SyntheticRun("foam").advance(100).trace
    assert cost.draw(Scene([Lane(whole, "FOAM", 0)], Look())).moment == "steps to 100"
    both = cost.draw(Scene([Lane(log, "FOAM", 0), Lane(whole, "other", 1)], Look()))
    assert both.moment == "steps 1 to 100, not the same in every lane"
