"""The truth a second later: the chosen setting is really trained once the sliders rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foam_viz.analysis.replay import Replay, Setting
from foam_viz.analysis.study import Truth
from foam_viz.engine.truth.client import Training, TruthClient
from foam_viz.experiment import config
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.counts import total
from foam_viz.trace.final import final_of

REST_SECONDS = 0.5
LONGEST_SECONDS = 10.0
"""Runs that took longer are not trained again automatically."""
MOST_LIVE = 4
"""While more runs than these train on the server, no truth is."""
SEEDS = 3
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
    told.pop("edits", None)
    told.pop("parent", None)
    return {**told, "run_settings": {**told["run_settings"], "steps": max(view.last_step, 1)}}, ""


def configured(base: Mapping[str, Any], setting: Setting, seed: int) -> dict[str, Any]:
    """The configuration of a run under another setting and seed.

    Raises:
        FieldError: They do not fit the task.
    """
    lane = config.LaneConfig(base["optimizer"], dict(base["optimizer_settings"]), base["task"])
    values = dict(lane.settings)
    if setting.optimizer != lane.optimizer:
        values = lane.becoming(setting.optimizer, base["task"])[1]
    run_settings = {**base["run_settings"], "seed": seed}
    experiment, errors = config.build(
        base["task"], base["task_settings"], run_settings, [(setting.optimizer, {**values, **setting.values})]
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
        enabled: Whether settings are trained when the sliders rest.
    """

    def __init__(self, client: Callable[[], TruthClient], busy: Callable[[], int]) -> None:
        self._client, self._busy = client, busy
        self._told: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._runs: list[Trained] = []
        self.base: dict[str, Any] | None = None
        self.why_not = "the run is not prepared yet"
        self.enabled = True

    def watch(self, told: Callable[[], None]) -> None:
        """Call ``told`` after everything that changes."""
        self._told = told

    def learn(self, manifest: Manifest, trace: Trace) -> None:
        """Find out whether the recorded run can be trained again."""
        self.base, self.why_not = trainable(manifest, trace)

    @property
    def waits(self) -> str:
        """Why nothing is trained now, in a sentence; empty where something is, or would be."""
        if self.why_not:
            return self.why_not
        if (busy := self._busy()) > MOST_LIVE:
            return f"{busy} live runs train: the truth waits while there are more than {MOST_LIVE}"
        return ""

    def move(self) -> None:
        """The sliders move: what trains under another setting is given up."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for run in self._runs:
                if not run.training.over:
                    self._client().stop(run.training)

    def rest(self, replay: Replay) -> None:
        """A setting was replayed: train it if nothing moves for a while."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(REST_SECONDS, self._train, [replay])
            self._timer.daemon = True
            self._timer.start()

    def of(self, setting: Setting | None) -> list[Trained]:
        """The runs of a setting, its recorded seed first."""
        with self._lock:
            return [run for run in self._runs if run.setting == setting and _alive(run)]

    def all(self) -> tuple[Truth, ...]:
        """What is known of every setting that was trained."""
        with self._lock:
            return tuple(run.truth() for run in self._runs if _alive(run))

    def _train(self, replay: Replay) -> None:
        with self._lock:
            if not self.enabled or self.base is None or self.waits:
                return
            setting, first = replay.setting, int(self.base["run_settings"]["seed"])
            known = {run.seed for run in self._runs if run.setting == setting and _alive(run)}
            for seed in range(first, first + SEEDS):
                if seed not in known:
                    told = configured(self.base, setting, seed)
                    training = self._client().train(told, self._told)
                    self._runs.append(Trained(setting, seed, training, replay.decompositions))
            self._runs = [run for run in self._runs if _alive(run)][-_MOST_KEPT:]
        self._told()


def _alive(run: Trained) -> bool:
    return run.training.status not in ("stopped", "failed")
