"""Links and saved configurations of the first release still mean what they meant then.

The expectations come from the code of the first release itself: ``first_release.json`` holds, for every task and
optimizer, a link that its ``to_query`` wrote and the configuration that it stood for, and the defaults of that time.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foam_viz.experiment import config, links, releases
from foam_viz.experiment.presets import PRESETS
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace.disk import bundle

FIRST = json.loads((Path(__file__).parent / "first_release.json").read_text())
SAMPLES = Path(__file__).parents[2] / "sample_runs"
# What did not exist then, with the value by which it changes nothing.
LATER = {"eigenvalues": "shift", "equilibrate": "none"}
LATER_RUN = {"precision": "float32"}
LATER_TASK = {"csv": {"columns": None}}


def meant(saved: dict, optimizer: str) -> tuple[dict, dict]:
    """Settings of optimizer and run as they were, with what came later."""
    known = {field.name for field in OPTIMIZERS[optimizer].all_fields}
    return (
        {**saved["optimizer_settings"], **{k: v for k, v in LATER.items() if k in known}},
        {**saved["run_settings"], **LATER_RUN},
    )


@pytest.mark.parametrize("case", FIRST["links"], ids=lambda case: f"{case['config']['task']} {case['query']['lane']}")
def test_a_link_of_the_first_release_trains_what_it_trained(case: dict) -> None:
    query = {key: value if isinstance(value, list) else [value] for key, value in case["query"].items()}
    experiment, errors = links.from_query(query)
    assert errors == []
    saved = case["config"]
    found, task = experiment.lane_config(0), saved["task"]
    optimizer_settings, run_settings = meant(saved, saved["optimizer"])
    assert (found["task"], found["task_settings"]) == (task, {**saved["task_settings"], **LATER_TASK.get(task, {})})
    assert (found["optimizer"], found["optimizer_settings"]) == (saved["optimizer"], optimizer_settings)
    assert found["run_settings"] == run_settings
    # Opened and shared again, it is a link of today that means the same.
    again = links.to_query(experiment)
    assert again[links.VERSION_KEY] == str(releases.CURRENT)
    restored, errors = links.from_query({k: v if isinstance(v, list) else [v] for k, v in again.items()})
    assert (restored, errors) == (experiment, [])


def test_a_saved_configuration_without_the_new_settings_means_the_shift_in_float32() -> None:
    for case in FIRST["links"]:
        saved = case["config"]
        expected = meant(saved, saved["optimizer"])
        found, errors = config.from_manifest(saved)
        assert errors == []
        assert (found.lanes[0].settings, found.run_settings) == expected
        autosaved = {
            "task": saved["task"], "task_settings": saved["task_settings"], "run_settings": saved["run_settings"],
            "lanes": [{"optimizer": saved["optimizer"], "settings": saved["optimizer_settings"]}],
        }  # fmt: skip
        assert config.from_json(autosaved) == found


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.zip")), ids=lambda path: path.stem)
def test_a_recorded_sample_gives_its_experiment_back(path: Path) -> None:
    saved = bundle.read(path).manifest.config
    if "run_settings" not in saved:
        pytest.skip("recorded by a training loop of its own, which has no configuration of the lab")
    experiment, errors = config.from_manifest(saved)
    assert errors == []
    found = experiment.lane_config(0)
    later = {name: value for name, value in LATER.items() if name in found["optimizer_settings"]}
    assert found["optimizer_settings"] == {**later, **saved["optimizer_settings"]}
    assert found["run_settings"] == {**LATER_RUN, **saved["run_settings"]}


def test_the_frozen_defaults_are_those_of_the_first_release() -> None:
    assert {f.name: f.default for f in releases.run_fields(config.RUN_FIELDS, 1)} == {**FIRST["run"], **LATER_RUN}
    for name, defaults in FIRST["tasks"].items():
        assert {f.name: f.default for f in releases.task(name, 1).all_fields} == {
            **defaults,
            **LATER_TASK.get(name, {}),
        }, name
    for name, defaults in FIRST["optimizers"].items():
        spec = releases.optimizer(name, tasks.DEFAULT_TASK, 1)
        known = {field.name for field in spec.all_fields}
        expected = {**defaults, **{k: v for k, v in LATER.items() if k in known}}
        assert {f.name: f.default for f in spec.all_fields} == expected, name


def test_a_bare_address_and_a_preset_have_the_defaults_of_today() -> None:
    today, _ = config.build()
    assert links.from_query({}) == (today, [])
    view = "0" * 32
    assert links.from_query({"run": [view]}) == (today, [])
    assert links.from_query(PRESETS["foam-against-fixed"].query) == (today, [])


@pytest.mark.parametrize("version", ["3", "0", "two", "-1", ""])
def test_a_version_from_elsewhere_is_named_and_the_rest_is_read(version: str) -> None:
    experiment, errors = links.from_query({"v": [version], "lane": ["foam:tau=0.5"], "seed": ["4"]})
    assert [error.field for error in errors] == ["v"]
    assert "must be a whole number from 1 to 2" in str(errors[0])
    assert experiment.lanes[0].settings["tau"] == 0.5 and experiment.run_settings["seed"] == 4


@pytest.fixture
def own_damping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits autoencoder with defaults of its own, whatever the catalogue has now."""
    own = (("epsilon", 1e-5), ("epsilon_max", 1e-2))
    monkeypatch.setitem(
        tasks.TASKS, "digits-autoencoder", replace(tasks.TASKS["digits-autoencoder"], optimizer_defaults=own)
    )
    monkeypatch.setitem(tasks.TASKS, "spirals", replace(tasks.TASKS["spirals"], optimizer_defaults=()))


def test_a_task_has_defaults_of_its_own_which_links_write(own_damping: None) -> None:
    experiment, _ = config.build("digits-autoencoder", lanes=[("foam", {}), ("soap", {}), ("foam", {"epsilon": 1e-9})])
    damping = [(lane.settings.get("epsilon"), lane.settings.get("epsilon_max")) for lane in experiment.lanes]
    assert damping == [(1e-5, 1e-2), (None, None), (1e-9, 1e-2)]
    lanes = links.to_query(experiment)["lane"]
    assert lanes == ["foam:epsilon=1e-5,epsilon_max=0.01", "soap", "foam:epsilon=1e-9,epsilon_max=0.01"]
    assert [lane.label() for lane in experiment.lanes] == ["FOAM", "SOAP", "FOAM ε₀ = 1e-9"]
    elsewhere, _ = config.build("spirals", lanes=[("foam", {})])
    assert elsewhere.lanes[0].settings["epsilon"] == OPTIMIZERS["foam"].validate({})["epsilon"]
    # What is refused falls back to the task's default too.
    refused, errors = config.build("digits-autoencoder", lanes=[("foam", {"epsilon": -1})])
    assert [error.field for error in errors] == ["epsilon"] and refused.lanes[0].settings["epsilon"] == 1e-5


def test_another_task_or_optimizer_keeps_what_was_set_and_takes_its_own_defaults(own_damping: None) -> None:
    lane = config.build("digits-autoencoder", lanes=[("foam", {"period": 25})])[0].lanes[0]
    spec, settings = lane.becoming("foam", "spirals")
    assert (settings["period"], settings["epsilon"]) == (25, spec.validate({})["epsilon"]) != (25, 1e-5)
    spec, settings = lane.becoming("dr-shampoo", "digits-autoencoder")
    assert (settings["period"], settings["tau"], settings["epsilon"]) == (25, 0.2, 1e-5)
