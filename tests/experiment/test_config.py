"""Configurations: links round-trip, and what is wrong is named while the rest is kept."""

from __future__ import annotations

import json

import pytest

from foam_viz.experiment import config, links
from foam_viz.experiment.presets import PRESETS
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import FieldError
from foam_viz.tasks.catalogue import TASKS


def as_query(query: dict) -> dict[str, list[str]]:
    return {key: value if isinstance(value, list) else [value] for key, value in query.items()}


def test_default_lanes_start_alike() -> None:
    experiment, errors = config.build()
    assert not errors
    assert [lane.optimizer for lane in experiment.lanes] == ["foam", "shampoo"]
    assert {lane.settings["start"] for lane in experiment.lanes} == {10}


def test_every_lane_that_has_factors_starts_at_ten_by_default() -> None:
    for name, spec in OPTIMIZERS.items():
        if spec.has_factors:
            experiment, _ = config.build(lanes=[(name, {"period": 100})] if spec.policy else [(name, {})])
            # SPlus takes its first bases from the first gradient, as its authors have it.
            assert experiment.lanes[0].settings["start"] == (1 if name == "splus" else 10), name


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("task", list(TASKS))
def test_a_link_restores_the_configuration(task: str, optimizer: str) -> None:
    experiment, errors = config.build(
        task,
        {"batch_size": 32},
        {"seed": 7, "schedule": "warm-up-linear-decay", "decay_steps": 123},
        [(optimizer, {"lr": 3e-4}), ("foam", {"tau": 0.31, "epsilon_max": 1.25e-5, "start": None})],
    )
    assert not errors
    query = as_query(links.to_query(experiment))
    restored, rejected = links.from_query(query)
    assert not rejected
    assert restored == experiment
    assert config.from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


def test_a_link_with_bad_parts_keeps_the_rest() -> None:
    query = {
        "task": ["digits-classifier"],
        "seed": ["-3"],
        "batch_size": ["64"],
        "colour": ["red"],
        "lane": ["foam:tau=nan,period=20", "shampo", "foam:tau=1.5", "shampoo:perod=3"],
        "run": ["x"],
    }
    experiment, errors = links.from_query(query)
    assert experiment.task == "digits-classifier"
    assert experiment.task_settings["batch_size"] == 64
    assert experiment.run_settings["seed"] == 0
    assert [lane.optimizer for lane in experiment.lanes] == ["foam", "foam", "shampoo"]
    assert experiment.lanes[0].settings["period"] == 20
    assert experiment.lanes[0].settings["tau"] == 0.75
    words = "\n".join(map(str, errors))
    for part in ("seed = -3", "colour", "tau = nan: must be a number strictly between 0 and 1", "tau = 1.5"):
        assert part in words
    assert "shampoo" in next(str(e) for e in errors if e.value == "shampo")
    assert "did you mean period" in next(str(e) for e in errors if e.field == "perod")


def test_epsilon_max_below_epsilon_is_refused() -> None:
    _, errors = links.from_query({"lane": ["foam:epsilon=1e-5,epsilon_max=1e-7"]})
    assert [error.field for error in errors] == ["epsilon_max"]


def test_unknown_rules_and_precisions_are_refused_and_the_rest_is_kept() -> None:
    query = {"v": ["2"], "precision": ["float16"], "lane": ["foam:eigenvalues=clamp,tau=0.5", "soap:eigenvalues=floor"]}
    experiment, errors = links.from_query(query)
    words = [str(error) for error in errors]
    assert words[0] == "eigenvalues = clamp: must be one of floor, shift"
    assert words[1].startswith("eigenvalues = (unknown setting): must be a known setting; known are")
    assert words[2] == "precision = float16: must be one of float32, float64"
    assert experiment.run_settings["precision"] == "float32"
    assert (experiment.lanes[0].settings["tau"], experiment.lanes[0].settings["eigenvalues"]) == (0.5, "floor")


def test_more_than_six_lanes_are_cut_and_named() -> None:
    experiment, errors = config.build(lanes=[("shampoo", {})] * 8)
    assert len(experiment.lanes) == 6
    assert "at most 6" in str(errors[0])


def test_a_manifest_from_elsewhere_gives_its_experiment_back() -> None:
    experiment, _ = config.build("spirals", {"arms": 3}, {"seed": 7}, [("foam", {"tau": 0.31})])
    saved = json.loads(json.dumps(experiment.lane_config(0)))
    assert config.from_manifest(saved) == (experiment, [])


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"task": "csw", "task_settings": {"table": "/etc/hosts"}}, ["task"]),
        ({"task": ["csv"]}, ["task"]),
        ({"task": "csv", "task_settings": "width"}, ["task_settings"]),
        ({"optimizer": 3, "optimizer_settings": [1], "run_settings": None}, ["optimizer", "optimizer_settings"]),
        ({"optimizer": "fom"}, ["optimizer"]),
        ({"run_settings": {"seed": {}}}, ["seed"]),
    ],
)
def test_a_broken_manifest_is_named_where_it_is_broken(broken: dict, named: list[str]) -> None:
    experiment, errors = config.from_manifest(broken)
    assert {error.field for error in errors} >= set(named)
    assert config.from_json(experiment.to_json()) == experiment


def test_presets_are_valid_links() -> None:
    for preset in PRESETS.values():
        assert links.from_query(preset.query)[1] == []


def test_route_finds_the_owner_of_each_key() -> None:
    pairs = [("lr", "1e-2"), ("tau", "0.5"), ("batch_size", "64"), ("schedule", "linear-decay")]
    for_optimizer, for_task, for_run = config.route("digits-autoencoder", "foam", pairs)
    assert for_optimizer == {"lr": 0.01, "tau": 0.5}
    assert for_task == {"batch_size": 64}
    assert for_run == {"schedule": "linear-decay"}
    with pytest.raises(FieldError, match="did you mean tau"):
        config.route("digits-autoencoder", "foam", [("taus", "1")])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear-decay", [1, 0.9, 0.1, 0]),
        ("warm-up", [0.25, 0.5, 1, 1]),
        ("warm-up-linear-decay", [0.25, 0.45, 0.1, 0]),
    ],
)
def test_learning_rate_factor(schedule: str, expected: list[float]) -> None:
    settings = {"schedule": schedule, "warmup_steps": 4, "decay_steps": 10}
    found = [config.learning_rate_factor(settings, step) for step in (1, 2, 10, 12)]
    assert found == pytest.approx(expected)


def test_no_two_lanes_have_one_name() -> None:
    found = links.from_query({"v": ["2"], "lane": ["shampoo", "shampoo:period=50", "shampoo", "foam:tau=0.5"]})[0]
    assert found.labels() == ("Shampoo (1)", "Shampoo f = 50", "Shampoo (2)", "FOAM τ = 0.5")
