"""The factor map: readable at any number of layers, in both themes."""

from __future__ import annotations

import numpy as np
import pytest

from foam_viz.figures import theme
from foam_viz.figures.look import Look
from foam_viz.figures.panels import factor_map
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch
from tests.figures.reading import trace, values


def _lane(layers: int, *, tau: float | None = 0.75, drift: float = 0.3, kinds: int = 3) -> Lane:
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
