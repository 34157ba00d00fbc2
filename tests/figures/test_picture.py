"""The pictures of what the models do, from traces that real runs of each pictured task recorded."""

from __future__ import annotations

import base64
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.panels import loss, picture
from foam_viz.figures.scene import Lane, Scene
from foam_viz.tasks.catalogue import TASKS
from foam_viz.trace import Trace
from tests.figures.reading import for_high_cards

PICTURED = [name for name, spec in TASKS.items() if spec.picture]


def trained(task: str, optimizer: str = "adamw", steps: int = 60) -> Trace:
    experiment, errors = config.build(task, {}, {"steps": steps}, [(optimizer, {})])
    assert not errors
    run = Run(experiment.lane_config(0), run_id="r")
    run.status = "running"
    while run.live:
        run.advance()
    trace = Trace.empty(run.manifest())
    for table, rows in run.drain().items():
        trace.append(table, rows)
    return trace


def values(spec: dict) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(spec["bdata"]), spec["dtype"])
    return array.reshape([int(n) for n in spec["shape"].split(",")]) if "shape" in spec else array


@pytest.mark.parametrize("task", PICTURED)
def test_each_pictured_task_is_drawn_for_two_runs_side_by_side(task: str) -> None:
    trace = trained(task)
    lanes = [Lane(trace, "AdamW", 0), Lane(trace, "<b>again</b>", 1)]
    assert BY_ID["picture"].has_place(lanes)
    drawing = picture.draw(Scene(lanes))
    go.Figure(drawing.figure)
    domains = [drawing.figure["layout"][f"xaxis{number}"]["domain"] for number in ("", "2")]
    assert domains[0][1] < domains[1][0]
    assert {trace["xaxis"] for trace in drawing.figure["data"]} == {"x", "x2"}
    assert re.search(r": AdamW [\d.]+", drawing.reading)
    assert "<b>" not in str(drawing.figure["layout"]["annotations"])


def test_a_task_without_pictures_has_no_card() -> None:
    lanes = [Lane(trained("digits-classifier", steps=2), "AdamW", 0)]
    assert not BY_ID["picture"].has_place(lanes)
    assert picture.draw(Scene(lanes)).figure is None


def test_arrays_that_do_not_change_are_recorded_once() -> None:
    trace = trained("spirals")
    names = list(trace.values("pictures", "array"))
    assert names.count("points") == 1
    assert names.count("probability") == 2  # step 1 and step 50
    newest = trace.latest_picture()
    assert newest["probability"].shape == (2, 61, 61)
    assert np.allclose(newest["probability"].sum(0), 1, atol=1e-5)


def test_the_decision_is_the_most_probable_class() -> None:
    trace = trained("spirals")
    probability = trace.latest_picture()["probability"]
    codes = values(picture.draw(Scene([Lane(trace, "x", 0)])).figure["data"][0]["z"])
    assert np.array_equal(codes // 6, probability.argmax(0))


def test_the_floor_is_drawn_where_it_is_known() -> None:
    quadratic = loss.draw(Scene([Lane(trained("rotating-quadratic"), "x", 0)])).figure["layout"]
    assert quadratic["shapes"] and "least possible" in str(quadratic["annotations"])
    digits = loss.draw(Scene([Lane(trained("digits-classifier", steps=2), "x", 0)])).figure["layout"]
    assert not digits["shapes"]


def test_wide_pictures_of_four_runs_stand_in_two_rows_and_no_name_runs_into_another() -> None:
    trace = trained("digits-autoencoder", steps=4)
    lanes = [Lane(trace, f"lane {n} with {'many settings ' * 12}", n) for n in range(4)]
    layout = picture.draw(Scene(lanes)).figure["layout"]
    across = [layout[f"xaxis{number}"]["domain"] for number in ("", "2", "3", "4")]
    down = [layout[f"yaxis{number}"]["domain"] for number in ("", "2", "3", "4")]
    assert across[0] == across[2] and across[1] == across[3] and across[0][1] < across[1][0]
    assert down[0] == down[1] and down[2] == down[3] and down[2][1] < down[0][0]
    for note, place, lane in zip(layout["annotations"], across, lanes, strict=True):
        assert (note["x"], note["xanchor"]) == (sum(place) / 2, "center")
        assert len(note["text"]) <= 55 and note["text"].endswith("…") and note["hovertext"] == lane.label


@pytest.mark.parametrize("task", PICTURED)
def test_the_reading_of_six_runs_with_long_names_fits_into_a_narrow_card(task: str) -> None:
    trace = trained(task, steps=4)
    lanes = [Lane(trace, f"{n} FOAM with many settings", n) for n in range(6)]
    reading = picture.draw(Scene(lanes)).reading
    assert len(reading) <= 112 and all(f"{n} F" in reading for n in range(6))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("task", PICTURED)
def test_on_a_card_higher_than_wide_pictures_stand_below_each_other(task: str, count: int) -> None:
    trace = trained(task, steps=4)
    layout = picture.draw(Scene([Lane(trace, f"lane {n}", n) for n in range(count)])).figure["layout"]
    for_high_cards(layout, across=1 if task == "digits-autoencoder" or count <= 2 else 2)
