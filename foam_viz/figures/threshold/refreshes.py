"""Refresh rasters of the recorded run and of the what-if: the panel of every page, for one lane each."""

from __future__ import annotations

from dataclasses import replace

from foam_viz.analysis.study import FIRST_TRUTH, OWN, WHAT_IF, Study
from foam_viz.figures.panel import Drawing
from foam_viz.figures.panels import raster
from foam_viz.figures.scene import Scene


def draw_recorded(scene: Scene, study: Study) -> Drawing:
    """What the run did."""
    return _of(scene, OWN, "")


def draw_what_if(scene: Scene, study: Study) -> Drawing:
    """What the chosen setting would have done with the same factors."""
    if study.what_if is None:
        return Drawing(empty="What the chosen setting would have decided appears here once the run is prepared.")
    return _of(scene, WHAT_IF, "" if study.what_if.exact else "Open loop: ")


def draw_trained(scene: Scene, study: Study) -> Drawing:
    """What the chosen setting did when it was really trained, with the recorded seed."""
    return _of(scene, FIRST_TRUTH, "")


def _of(scene: Scene, position: int, words: str) -> Drawing:
    lanes = [lane for lane in scene.lanes if lane.position == position]
    if not lanes:
        return Drawing(empty="What the setting does appears here once its first steps are made.")
    drawn = raster.draw(Scene(lanes, replace(scene.look, lane=position)))
    if drawn.figure is None:
        return drawn
    # Whichever raster is clicked, the same factor is followed in both, and the what-if stays in front.
    layout = drawn.figure["layout"]
    layout = {**layout, "meta": {"follow": {**layout["meta"]["follow"], "lane": scene.look.lane}}}
    return replace(drawn, figure={**drawn.figure, "layout": layout}, reading=words + drawn.reading)
