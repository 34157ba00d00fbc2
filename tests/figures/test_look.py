"""What a reader may choose is one typed list, whoever sends it."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import FIELDS, LONGEST_NAME
from foam_viz.figures.scene import Lane, Scene
from foam_viz.optim.fields import FieldError
from tests.synthetic import SyntheticRun


def test_the_catalogue_and_the_class_name_the_same_fields_and_defaults() -> None:
    assert {field.name: field.default for field in FIELDS} == {
        field.name: getattr(Look(), field.name) for field in fields(Look)
    }


def test_a_look_survives_json_and_carries_what_differs_only() -> None:
    look = Look(factor=3, lane=1, at=1390, metrics=("loss", "held_out_loss"), target=0.25, x_from=1.5, x_to=9.0)
    sent = json.dumps(look.changed())
    assert Look.of(json.loads(sent)) == look and hash(Look.of(json.loads(sent))) == hash(look)
    assert Look().changed() == {} and "loss_log" not in sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("factor", -1),
        ("factor", 1.5),
        ("factor", True),
        ("factor", "3"),
        ("lane", None),
        ("at", 2**53),
        ("at", float("nan")),
        ("loss_axis", "<b>"),
        ("loss_axis", ["step"]),
        ("loss_log", 1),
        ("max_points", 10**9),
        ("metrics", []),
        ("metrics", "loss"),
        ("metrics", ["a", "b", "c", "d", "e"]),
        ("metrics", ["x" * (LONGEST_NAME + 1)]),
        ("metrics", [3]),
        ("scale", float("inf")),
        ("x_to", 3.0),
        ("factors", 3),
    ],
)
def test_a_tampered_look_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(FieldError) as refused:
        Look.of({name: value})
    assert refused.value.field == name


def test_a_window_ends_after_it_begins() -> None:
    with pytest.raises(FieldError, match="x_to = 2: must be above x_from = 3"):
        Look.of({"x_from": 3.0, "x_to": 2.0})
    assert Look.of({"x_from": 2.0, "x_to": 3.0}).window == (2.0, 3.0) and Look().window is None


def test_a_scene_follows_the_lane_that_the_look_names_and_else_the_first_with_factors() -> None:
    lanes = [Lane(SyntheticRun(kind).advance(20).trace, kind, i) for i, kind in enumerate(("adamw", "foam", "shampoo"))]
    assert Scene(lanes, Look(lane=2)).focus is lanes[2]
    assert Scene(lanes, Look(lane=0, factor=1)).followed == (lanes[1], 1)
    assert Scene(lanes, Look(lane=1, factor=18)).followed is None and Scene(lanes[:1], Look(factor=0)).focus is None
