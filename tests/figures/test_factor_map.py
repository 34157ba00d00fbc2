"""The factor map: readable at any number of layers, in both themes."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.analysis.checks import checks_of
from foam_viz.figures import theme
from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME
from foam_viz.figures.panels import factor_map
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch
from tests.figures.reading import trace, values
from tests.synthetic import SyntheticRun


def _lane(
    layers: int, *, tau: float | None = 0.75, drift: float = 0.3, kinds: int = 3, worst: int | None = None
) -> Lane:
    """A run with `layers` layers, each with two factors of its weight and one of its bias."""
    infos = [
        FactorInfo(id=f"{layer}.block_0.{dim}", parameter=f"{layer}.weight", block=0, dim=dim, order=2, size=32)
        for layer in range(layers)
        for dim in (0, 1)
    ]
    if kinds == 3:
        infos += [
            FactorInfo(id=f"{layer}b.block_0.0", parameter=f"{layer}.bias", block=0, dim=0, order=1, size=32)
            for layer in range(layers)
        ]
    config = {"optimizer_settings": {"tau": tau} if tau else {}}
    run = Trace.empty(Manifest(run_id="r", name="r", factors=tuple(infos), config=config))
    count = len(infos)
    rows = {"step": np.full(count, 10), "factor": np.arange(count), "proxy": np.full(count, drift)}
    run.append("checks", record_batch("checks", rows))
    if worst is not None:
        run.append("checks", record_batch("checks", {"step": [20], "factor": [worst], "proxy": [30 * drift]}))
    return Lane(run, "run", 0)


@pytest.mark.parametrize("layers", [1, 6, 8, 9, 14, 15, 28, 40, 60, 200])
def test_every_factor_has_a_cell_with_a_number_that_fits(layers: int) -> None:
    lane = _lane(layers)
    figure = factor_map.draw(Scene([lane], Look(factor=0))).figure
    drawn = trace(figure, "factors")
    index = np.array(drawn["customdata"])
    assert sorted(index[index >= 0]) == list(range(3 * layers))
    rows, columns = index.shape
    assert columns <= 14 and values(drawn["z"]).shape == (rows, columns)
    assert len(figure["layout"]["yaxis"]["tickvals"]) <= 24
    if rows <= 22:
        assert drawn["texttemplate"] == "%{text}"
        longest = max(len(word) for line in drawn["text"] for word in line)
        assert longest <= (3 if columns <= 8 else 2), "a number of more letters overflows its cell"
        assert all(drawn["text"][row][column] for row, column in np.argwhere(index >= 0))
    assert layers > 60 or rows <= 22


@pytest.mark.parametrize("drift", [0.0, 1e-9, 0.0041, 0.13, 0.96, 0.999, 1.04, 9.97, 12.3, 99.4, 1e3, 1e36, 3e300])
@pytest.mark.parametrize("layers", [6, 14])
def test_numbers_stay_within_their_cells_whatever_their_size(drift: float, layers: int) -> None:
    drawn = trace(factor_map.draw(Scene([_lane(layers, tau=None, drift=drift)], Look(factor=0))).figure, "factors")
    columns = values(drawn["z"]).shape[1]
    for line in drawn["text"]:
        assert all(len(word) <= (3 if columns <= 8 else 2) for word in line)


@pytest.mark.parametrize("tau", [None, 0.75])
def test_numbers_have_one_ink_that_every_shade_of_the_map_carries(tau: float | None) -> None:
    drawn = trace(factor_map.draw(Scene([_lane(6, tau=tau)], Look(factor=0))).figure, "factors")
    assert drawn["textfont"]["color"] == theme.LIGHT.ink
    assert {colour for _, colour in drawn["colorscale"]} <= {c for _, c in theme.DIVERGING + theme.MAGNITUDE}


def test_rows_of_a_map_that_continues_below_say_which_layers_they_hold() -> None:
    figure = factor_map.draw(Scene([_lane(20, kinds=2)], Look(factor=0))).figure
    assert figure["layout"]["yaxis"]["ticktext"] == [
        "left 1–7", "right 1–7", "left 8–14", "right 8–14", "left 15–20", "right 15–20",
    ]  # fmt: skip
    assert "counted along each row" in figure["layout"]["xaxis"]["title"]["text"]


def test_two_parameters_of_one_name_have_a_cell_each() -> None:
    infos = tuple(
        FactorInfo(id=f"{group}.block_0.{dim}", parameter="parameter 0", block=0, dim=dim, order=2, size=4)
        for group in range(2)
        for dim in range(2)
    )
    run = Trace.empty(Manifest(run_id="r", name="r", factors=infos))
    run.append("checks", record_batch("checks", {"step": [1] * 4, "factor": range(4), "proxy": [0.1, 0.2, 0.3, 0.4]}))
    drawn = trace(factor_map.draw(Scene([Lane(run, "log", 0)], Look(factor=0))).figure, "factors")
    assert sorted(np.array(drawn["customdata"]).ravel()) == [0, 1, 2, 3]


@pytest.mark.parametrize("measure", BY_NAME["measure"].choices)
def test_every_measure_is_what_was_recorded_last(measure: str) -> None:
    run = SyntheticRun("foam").advance(615)
    lane = Lane(run.trace, "FOAM", 0)
    drawing = factor_map.draw(Scene([lane], Look(factor=0, measure=measure)))
    drawn = trace(drawing.figure, "factors")
    shown = values(drawn["meta"]["values"])
    for row, cells in enumerate(drawn["customdata"]):
        for place, factor in enumerate(cells):
            rows = checks_of(lane.trace, factor)
            snapshot = lane.trace.latest_snapshot(factor)
            wanted = {
                "decides": rows.proxy[-1] / 0.75,
                "h": rows.proxy[-1],
                "r": rows.residual[-1],
                "true_error": snapshot.true_error,
                "age": 615 - rows.last_decomposition[-1],
                "epsilon": rows.epsilon[-1],
                "decompositions": rows.decompositions.sum(),
            }[measure]
            assert shown[row, place] == pytest.approx(wanted, rel=1e-5), (measure, factor)
            assert len(drawn["text"][row][place]) <= 4
    moment = {"true_error": "snapshots of step", "age": "step 615"}.get(measure, "checks of step 610")
    assert drawing.moment.startswith(moment)


def test_two_thousand_factors_share_cells_that_show_the_worst_of_them() -> None:
    lane = _lane(700, worst=1234)
    drawing = factor_map.draw(Scene([lane], Look(factor=0)))
    drawn = trace(drawing.figure, "factors")
    shown, cells = values(drawn["z"]), drawn["customdata"]
    assert shown.size <= 14 * 22 and np.isfinite(shown).sum() > 200
    assert 1234 in {factor for line in cells for factor in line}
    assert "share this cell" in drawn["hovertext"][0][0] and "1 of 2100 factors above" in drawing.reading
