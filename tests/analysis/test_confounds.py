from __future__ import annotations

import pytest

from foam_viz.analysis.confounds import Confound, confounds, step_ranking_note, time_ranking_allowed
from foam_viz.trace import Trace
from tests.analysis.runs import run

SAME = {
    "hardware": {"device_name": "A100", "world_size": 8},
    "software": {"framework": "torch 2.6"},
    "config": {"batch_size": 64, "steps_planned": 1000},
    "task": "t",
    "format": "table",
}


def _run(**changes: object) -> Trace:
    return run(**{"step": [1, 2], "optimizer_seconds": [1.0, 2.0], **SAME, **changes})


def _found(*changes: dict) -> dict[str, Confound]:
    return {confound.field: confound for confound in confounds([_run(**change) for change in changes])}


def test_like_runs_have_none_and_may_be_ranked_by_time() -> None:
    assert _found({}, {}, {}) == {} and time_ranking_allowed([]) and confounds([_run()]) == []
    assert step_ranking_note([]) == ""


@pytest.mark.parametrize(
    ("change", "field", "spoils", "values"),
    [
        ({"hardware": {"device_name": "H200", "world_size": 8}}, "hardware", "time", ("A100", "H200")),
        ({"hardware": {"device_name": "A100", "world_size": 1}}, "world_size", "time", ("8", "1")),
        ({"software": {"torch": "2.7"}}, "framework", "time", ("torch 2.6", "torch 2.7")),
        ({"config": {"batch_size": 32, "steps_planned": 1000}}, "batch_size", "both", ("64", "32")),
        ({"config": {"batch_size": 64, "max_steps": 500}}, "steps_planned", "step", ("1,000", "500")),
        ({"task": "u"}, "task", "both", ("t", "u")),
        (
            {"optimizer_seconds": [None, None], "total_seconds": [1.0, 2.0]},
            "clock",
            "time",
            ("training time", "total time"),
        ),
        ({"total_seconds": [1.0, 2.0]}, "clock", "time", ("training time", "training time and total time")),
        ({"optimizer_seconds": [2.0, 1.0]}, "clock", "time", ("training time", "training time (starts again)")),
    ],
)
def test_each_difference_is_found_by_itself(change: dict, field: str, spoils: str, values: tuple) -> None:
    found = _found({}, change)
    assert list(found) == [field]
    assert (found[field].spoils, found[field].values, found[field].certain) == (spoils, values, True)
    assert values[0] in found[field].words and values[1] in found[field].words
    assert time_ranking_allowed(found.values()) == (spoils == "step")
    assert time_ranking_allowed(found.values(), confirmed=True)
    assert bool(step_ranking_note(found.values())) == (spoils != "time")


def test_parameters_are_compared_where_told() -> None:
    config = SAME["config"]
    found = _found({"config": {**config, "num_params": 100}}, {"config": {**config, "model": {"n_params": 2000}}})
    assert found["parameters"].values == ("100", "2,000")


def test_unknown_is_unknown_and_not_equal() -> None:
    found = _found({}, {"hardware": {}, "task": ""})
    assert {name: confound.certain for name, confound in found.items()} == {
        "hardware": False, "world_size": False, "task": False,
    }  # fmt: skip
    assert found["hardware"].values == ("A100", None) and "1 of 2 logs leave it out" in found["hardware"].words
    assert not time_ranking_allowed(found.values()), "without the hardware nothing can be said of time"
    batch_unknown = _found({}, {"config": {"steps_planned": 1000}})
    assert list(batch_unknown) == ["batch_size"] and time_ranking_allowed(batch_unknown.values())
    nobody = _found({"hardware": {}}, {"hardware": {}})
    assert "no log tells it" in nobody["hardware"].words and not time_ranking_allowed(nobody.values())


def test_a_plain_cpu_names_no_machine() -> None:
    found = _found(
        {"hardware": {"machine": "x86_64"}, "device": "cpu"}, {"hardware": {"machine": "x86_64"}, "device": "cpu"}
    )
    assert not found["hardware"].certain
    assert "hardware" not in _found(
        {"hardware": {}, "device": "NVIDIA H200"}, {"hardware": {}, "device": "NVIDIA H200"}
    )


def test_runs_that_shared_a_machine_spoil_each_other_s_time() -> None:
    found = _found({"shared_machine": True}, {"shared_machine": True})
    assert found["shared_machine"].certain and not time_ranking_allowed(found.values())


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"per_device_train_batch_size": 4}, "32"),
        ({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}, "64"),
        ({"per_device_batch_size": 4, "global_batch_size": 999}, "999"),
        ({"data": {"batch_size": 64}, "eval_batch_size": 3}, "64"),
        ({"batch_size": "64"}, "64"),
    ],
)
def test_batches_are_those_of_a_step(config: dict, told: str) -> None:
    other = {"config": {**SAME["config"], "batch_size": 7}}
    values = _found(other, {"config": {**config, "steps_planned": 1000}})["batch_size"].values
    assert values == ("7", told)
    alone = _found(
        other, {"config": {"micro_batch_size": 4, "steps_planned": 1000}, "hardware": {"device_name": "A100"}}
    )
    assert alone["batch_size"].values[1] == "4 on each device, of unknown number"
