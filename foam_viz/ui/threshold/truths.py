"""The truth a second later: the chosen setting is really trained once the sliders rest."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foam_viz.analysis.replay import Replay
from foam_viz.analysis.replay_setting import Setting, fields_of
from foam_viz.analysis.study import Truth
from foam_viz.engine.truth.client import Training, TruthClient
from foam_viz.experiment import config
from foam_viz.experiment.edits import from_json
from foam_viz.optim.fields import FieldError
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.counts import total
from foam_viz.trace.final import final_of

REST_SECONDS = 0.5
LONGEST_SECONDS = 10.0
"""Runs that took longer are not trained again automatically."""
MOST_LIVE = 4
"""While more runs than these train on the server, no truth is."""
SEEDS = 3
LOOK_SECONDS = 2.0
"""A setting that gave way to live runs is trained once there are few enough again: they are counted so often."""
_ATTEMPTS = 2
"""Of a run whose process ends."""
_MOST_KEPT = 40


@dataclass(eq=False)
class Trained:
    """One run of a setting.

    Attributes:
        setting: The setting.
        seed: Its seed.
        training: The run.
        predicted: Decompositions that the replay foretold.
    """

    setting: Setting
    seed: int
    training: Training
    predicted: int

    def truth(self) -> Truth:
        """What is known of it now."""
        trace = self.training.trace
        steps = int(self.training.config["run_settings"]["steps"])
        if trace is None:
            return Truth(setting=self.setting, seed=self.seed, steps=steps, predicted=self.predicted)
        view = trace.view()
        loss = final_of(view, "loss") if view.rows("steps") else None
        return Truth(
            setting=self.setting,
            seed=self.seed,
            step=view.last_step,
            steps=steps,
            decompositions=total(view, "decompositions") or 0,
            predicted=self.predicted,
            loss=loss.value if loss is not None and loss.count else None,
            done=self.training.status in ("finished", "diverged"),
            error_left=self.training.error_left,
            kernel_seconds=self.training.kernel_seconds,
        )


def trainable(manifest: Manifest, trace: Trace) -> tuple[dict[str, Any] | None, str]:
    """The configuration that trains a recorded run again, or why it cannot be trained within seconds.

    Args:
        manifest: Of the run.
        trace: Of the run.
    """
    if not isinstance(manifest.config.get("run_settings"), Mapping):
        return None, "this run was not trained by this program, so only its replay can be shown"
    experiment, errors = config.from_manifest(manifest.config)
    if errors:
        return None, f"its configuration cannot be trained here: {errors[0]}"
    view = trace.view()
    seconds = view.values("steps", "total_seconds") if view.has("steps", "total_seconds") else np.empty(0)
    took = float(np.nanmax(seconds)) if np.isfinite(seconds).any() else 0.0
    if took > LONGEST_SECONDS:
        most = f"{LONGEST_SECONDS:.0f} s"
        return None, f"it trained for {took:,.0f} s; only runs of up to {most} are trained again automatically"
    told = experiment.lane_config(0)
    told.pop("parent", None)  # its edits are among its own
    return {**told, "run_settings": {**told["run_settings"], "steps": max(view.last_step, 1)}}, ""


def configured(base: Mapping[str, Any], setting: Setting, seed: int) -> dict[str, Any]:
    """The configuration of a run under another setting and seed.

    What was edited while the recorded run trained is edited again: the thresholds as the setting has them, and
    everything else, such as the learning rate, as it was.

    Raises:
        FieldError: They do not fit the task.
    """
    lane = config.LaneConfig(base["optimizer"], dict(base["optimizer_settings"]), base["task"])
    values = dict(lane.settings)
    if setting.optimizer != lane.optimizer:
        values = lane.becoming(setting.optimizer, base["task"])[1]
    run_settings = {**base["run_settings"], "seed": seed}
    known = {field.name for field in (*setting.spec.all_fields, *config.RUN_FIELDS)}
    of_policy = {field.name for field in fields_of(setting.spec)}
    edits = [edit for edit in base.get("edits", ()) if edit["setting"] in known - of_policy]
    edits += [{"step": step, "setting": name, "value": value} for step, name, value in setting.edits]
    experiment, errors = config.build(
        base["task"],
        base["task_settings"],
        run_settings,
        [(setting.optimizer, {**values, **setting.values})],
        edited=[from_json(edit) for edit in edits if edit["step"] <= run_settings["steps"]],
    )
    if errors:
        raise errors[0]
    return experiment.lane_config(0)


class Truths:
    """The runs of one workbench.

    Args:
        client: Gives the engine that trains.
        busy: How many live runs train on the server now.

    Attributes:
        base: The configuration that trains the recorded run again; None where it cannot be.
        why_not: Why it cannot be, in words; empty where it can.
    """

    def __init__(self, client: Callable[[], TruthClient], busy: Callable[[], int]) -> None:
        self._client, self._busy = client, busy
        self._told: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._runs: list[Trained] = []
        self._resting: Replay | None = None
        self._waits = self._refused = ""
        self._enabled = True
        self.base: dict[str, Any] | None = None
        self.why_not = "the run is not prepared yet"

    def watch(self, told: Callable[[], None]) -> None:
        """Call ``told`` after everything that changes."""
        self._told = told

    def learn(self, manifest: Manifest, trace: Trace) -> None:
        """Find out whether the recorded run can be trained again."""
        self.base, self.why_not = trainable(manifest, trace)

    @property
    def enabled(self) -> bool:
        """Whether settings are trained when the sliders rest; the one that rests is, once this is switched on."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        with self._lock:
            before, self._enabled = self._enabled, enabled
            if before and not enabled:
                self._give_up()
            elif enabled and not before and self._resting is not None:
                self._begin_after(REST_SECONDS)

    @property
    def waits(self) -> str:
        """What the setting that rests waits for, in a sentence; empty where it waits for nothing."""
        with self._lock:
            return self._waits if self._missing() else ""

    @property
    def failure(self) -> str:
        """Why a seed of the setting that rests was not trained, though it was tried again; empty where all were."""
        with self._lock:
            failed = [run for run in self._of_resting() if run.training.status == "failed"]
            refused = self._refused
        tried = Counter(run.seed for run in failed)
        return refused or next((run.training.reason for run in failed if tried[run.seed] >= _ATTEMPTS), "")

    def move(self) -> None:
        """The sliders move: what trains under another setting is given up."""
        with self._lock:
            self._resting, self._refused = None, ""
            self._give_up()

    def rest(self, replay: Replay) -> None:
        """A setting was replayed: train it if nothing moves for a while."""
        with self._lock:
            self._resting = replay
            self._begin_after(REST_SECONDS)

    def of(self, setting: Setting | None) -> list[Trained]:
        """The runs of a setting, its recorded seed first."""
        with self._lock:
            return [run for run in self._runs if run.setting == setting and _alive(run)]

    def all(self) -> tuple[Truth, ...]:
        """What is known of every setting that was trained."""
        with self._lock:
            return tuple(run.truth() for run in self._runs if _alive(run))

    def _give_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for run in self._runs:
            if not run.training.over:
                self._client().stop(run.training)

    def _begin_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._train)
        self._timer.daemon = True
        self._timer.start()

    def _of_resting(self) -> list[Trained]:
        return [run for run in self._runs if self._resting is not None and run.setting == self._resting.setting]

    def _missing(self) -> list[int]:
        """Seeds of the setting that rests which nothing trains or has trained, and that may still be tried."""
        if not self._enabled or self.base is None or self._resting is None or self._refused:
            return []
        first, mine = int(self.base["run_settings"]["seed"]), self._of_resting()
        known = {run.seed for run in mine if _alive(run)}
        failed = Counter(run.seed for run in mine if run.training.status == "failed")
        return [seed for seed in range(first, first + SEEDS) if seed not in known and failed[seed] < _ATTEMPTS]

    def _too_busy(self) -> str:
        busy = self._busy()
        return f"{busy} live runs train: it waits while there are more than {MOST_LIVE}" if busy > MOST_LIVE else ""

    def _train(self) -> None:
        with self._lock:
            self._timer = None
            missing, self._waits = self._missing(), self._too_busy()
            if missing and self._waits:
                self._begin_after(LOOK_SECONDS)
                missing = []
            for seed in missing:
                replay = self._resting
                assert replay is not None and self.base is not None  # else none is missing
                try:
                    told = configured(self.base, replay.setting, seed)
                except FieldError as error:
                    self._refused = str(error)
                    break
                training = self._client().train(told, self._heard)
                self._runs.append(Trained(replay.setting, seed, training, replay.decompositions))
            self._runs = [run for run in self._runs if run.training.status != "stopped"][-_MOST_KEPT:]
        self._heard()

    def _heard(self) -> None:
        """Something was trained, or could not be: give way to live runs, and try once more what failed."""
        with self._lock:
            trains = any(not run.training.over for run in self._of_resting())
            if trains and (busy := self._too_busy()):
                self._waits = busy
                self._give_up()
                self._begin_after(LOOK_SECONDS)
            elif self._timer is None and self._missing():
                self._begin_after(REST_SECONDS)
        self._told()


def _alive(run: Trained) -> bool:
    return run.training.status not in ("stopped", "failed")
