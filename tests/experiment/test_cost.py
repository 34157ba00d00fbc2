"""The projected cost of a run: shapes are those of the models, refusals name field, value, limit and remedy."""

from __future__ import annotations

import pytest

from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config, cost
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.settings import Settings
from foam_viz.tasks.catalogue import TASKS

SETTINGS = Settings(engines=1, engine_memory_mb=4096)
VARIED = (
    {},
    {"width": 24, "depth": 3, "batch_size": 7},
    {"width": 16, "depth": 1, "rank": 5, "attention_heads": 2, "context": 16, "arms": 4},
)


def made(task: str, settings: dict, *lanes: tuple[str, dict]) -> config.Experiment:
    known = {field.name for field in TASKS[task].fields}
    experiment, errors = config.build(task, {k: v for k, v in settings.items() if k in known}, {}, lanes)
    assert not errors
    return experiment


@pytest.mark.parametrize("settings", VARIED)
@pytest.mark.parametrize("task", TASKS)
def test_the_shapes_are_those_of_the_model(task: str, settings: dict) -> None:
    experiment = made(task, settings, ("adamw", {}))
    built = TASKS[task].build(experiment.task_settings, seed=0)
    model = built.model()
    outline = TASKS[task].outline(experiment.task_settings)
    assert [one.shape for one in outline.parameters] == [tuple(p.shape) for p in model.parameters()]


@pytest.mark.parametrize("changes", [{}, {"max_preconditioner_dim": 10}, {"precondition": "matrices"}])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("optimizer", [name for name, spec in OPTIMIZERS.items() if spec.has_factors])
def test_factors_are_counted_without_building_them(task: str, optimizer: str, changes: dict) -> None:
    experiment = made(task, {"width": 16, "depth": 2, "rank": 5, "context": 16}, (optimizer, changes))
    real = len(Run(experiment.lane_config(0), run_id="r").factors)
    counted = cost.project(experiment).factors
    # Some leave further parameters out, by rules of their own: for them it is an upper bound.
    assert counted == real if optimizer in ("shampoo", "foam", "soap") else counted >= real


def test_defaults_and_sensible_runs_are_allowed() -> None:
    for task in TASKS:
        for optimizer in OPTIMIZERS:
            experiment = made(task, {}, *[(optimizer, {})] * 4)
            assert cost.review(experiment, SETTINGS) == []
            assert not cost.needs_own_engine(cost.project(experiment), SETTINGS) or cost.project(experiment).seconds < 5


@pytest.mark.parametrize(
    ("task", "settings", "lane", "words"),
    [
        (
            "digits-autoencoder",
            {},
            ("foam", {"max_preconditioner_dim": 1}),
            ("max_preconditioner_dim = 1: must be at least", "factors", "maximum_factors"),
        ),
        (
            "digits-vit",
            {"width": 512, "depth": 6, "batch_size": 1400},
            ("foam", {}),
            ("width = 512: must be at most", "s for a step", "step_seconds"),
        ),
        (
            "tiny-gpt",
            {"width": 512, "depth": 6, "batch_size": 512, "context": 256},
            ("adamw", {}),
            ("MiB of memory", "engine_memory_mb", "must be"),
        ),
    ],
)
def test_what_stops_a_class_is_refused_with_a_remedy(task: str, settings: dict, lane: tuple, words: tuple) -> None:
    experiment = made(task, settings, lane)
    said = " ".join(str(error) for error in cost.review(experiment, SETTINGS))
    for word in words:
        assert word in said


def test_the_remedy_is_the_nearest_value_that_is_allowed() -> None:
    for value, allowed in ((1, False), (None, True)):
        experiment = made("digits-autoencoder", {}, ("foam", {"max_preconditioner_dim": value or 1}))
        (error,) = [e for e in cost.review(experiment, SETTINGS) if "maximum_factors" in str(e)]
        least = int(error.allowed.split(":")[0].split()[-1])
        for given, fits in ((least, True), (least - 1, False)):
            other = made("digits-autoencoder", {}, ("foam", {"max_preconditioner_dim": given}))
            assert (cost.project(other).factors <= SETTINGS.maximum_factors) is fits
        assert allowed or error.value == 1


def test_a_gpu_has_limits_of_its_own() -> None:
    experiment = made("digits-vit", {"width": 512, "depth": 6, "batch_size": 1400}, ("foam", {}))
    assert cost.review(experiment, SETTINGS, on_cpu=False) == []
