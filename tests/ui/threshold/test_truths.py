"""When a setting is trained for real, without a page: what is trained, what it gives way to, what is tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from foam_viz.analysis.replay_setting import Setting, own_setting
from foam_viz.engine.truth.client import Training
from foam_viz.experiment import config, edits
from foam_viz.trace import Manifest
from foam_viz.ui.threshold import truths as module
from foam_viz.ui.threshold.truths import Truths, configured
from tests.engine.conftest import until


def recorded(*edited: str) -> dict[str, Any]:
    experiment, errors = config.build(
        task_settings={"width": 16}, run_settings={"steps": 60, "seed": 3}, lanes=[("foam", {"tau": 0.6})],
        edited=[edits.read(text) for text in edited],
    )  # fmt: skip
    assert not errors
    return experiment.lane_config(0)


def setting_of(base: Mapping[str, Any]) -> Setting:
    found = own_setting(Manifest(run_id="a", name="a", config=base))
    assert found is not None
    return found


def test_the_recorded_setting_of_an_edited_run_is_trained_with_its_edits() -> None:
    base = recorded("20:tau=0.3", "30:lr=0.001", "40:schedule=linear-decay")
    assert configured(base, setting_of(base), 3) == base


def test_another_setting_replaces_edited_thresholds_and_keeps_the_rest() -> None:
    base = recorded("20:tau=0.3", "30:lr=0.001")
    told = configured(base, setting_of(base).changed({"tau": 0.5}), 4)
    assert [(edit["step"], edit["setting"]) for edit in told["edits"]] == [(30, "lr")]
    assert told["optimizer_settings"]["tau"] == 0.5 and told["run_settings"]["seed"] == 4
    other = configured(base, setting_of(base).changed({"optimizer": "shampoo"}), 3)
    assert [edit["setting"] for edit in other["edits"]] == ["lr"] and other["optimizer"] == "shampoo"
    short = {**base, "run_settings": {**base["run_settings"], "steps": 25}}  # stopped before its second edit
    assert [edit["step"] for edit in configured(short, setting_of(base), 3)["edits"]] == [20]


class Engine:
    """Takes down what it is asked to train, and does not."""

    def __init__(self, status: str = "waiting") -> None:
        self.status, self.asked, self.stopped = status, [], []

    def train(self, told: Mapping[str, Any], heard: Callable[[], None]) -> Training:
        training = Training(told, heard, status=self.status, reason="it ended" if self.status == "failed" else "")
        self.asked.append(training)
        return training

    def stop(self, training: Training) -> None:
        training.status = "stopped"
        self.stopped.append(training)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_SECONDS", 0.02)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)


def made(engine: Engine, busy: Callable[[], int] = lambda: 0) -> tuple[Truths, Any]:
    base = recorded()
    truths = Truths(lambda: engine, busy)
    truths.base, truths.why_not = base, ""
    return truths, SimpleNamespace(setting=setting_of(base), decompositions=9)


def seeds(engine: Engine) -> list[int]:
    return [training.config["run_settings"]["seed"] for training in engine.asked]


@pytest.mark.usefixtures("quick")
def test_a_setting_that_waited_for_live_runs_is_trained_once_they_are_few() -> None:
    engine, live = Engine(), [9]
    truths, replay = made(engine, lambda: live[0])
    truths.rest(replay)
    until(lambda: truths.waits, 10)
    assert "9 live runs train" in truths.waits and not engine.asked
    live[0] = 4
    until(lambda: len(engine.asked) == 3, 10)
    assert seeds(engine) == [3, 4, 5] and not truths.waits


@pytest.mark.usefixtures("quick")
def test_what_trains_gives_way_to_live_runs_and_goes_on_after_them() -> None:
    engine, live = Engine(), [0]
    truths, replay = made(engine, lambda: live[0])
    truths.rest(replay)
    until(lambda: len(engine.asked) == 3, 10)
    live[0] = 5
    engine.asked[0].told()
    assert len(engine.stopped) == 3 and "5 live runs train" in truths.waits
    live[0] = 0
    until(lambda: len(engine.asked) == 6, 10)
    assert seeds(engine)[3:] == [3, 4, 5]


@pytest.mark.usefixtures("quick")
def test_switching_it_on_trains_the_setting_that_rests() -> None:
    engine = Engine()
    truths, replay = made(engine)
    truths.enabled = False
    truths.rest(replay)
    until(lambda: truths._timer is None, 10)
    assert not engine.asked
    truths.enabled = True
    until(lambda: len(engine.asked) == 3, 10)
    truths.enabled = False
    assert len(engine.stopped) == 3


@pytest.mark.usefixtures("quick")
def test_a_training_whose_process_ends_is_tried_once_more_and_then_told() -> None:
    engine = Engine("failed")
    truths, replay = made(engine)
    truths.rest(replay)
    until(lambda: truths.failure, 10)
    until(lambda: truths._timer is None, 10)
    assert truths.failure == "it ended" and sorted(seeds(engine)) == [3, 3, 4, 4, 5, 5]
    truths.move()
    assert not truths.failure
