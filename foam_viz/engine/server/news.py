"""What engines tell of a run, brought into the hub's picture of it. Imports no torch.

Every function is called under the lock of the run.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment import config, cost
from foam_viz.experiment.config import Experiment
from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.model import Trace


def lanes(run: LabRun, header: dict[str, Any], directory: Path) -> None:
    """An engine has built the run, or restored it: traces begin anew, or are cut to the step restored.

    Args:
        run: The run.
        header: Of the message.
        directory: The folder of the run.
    """
    told = [manifests.from_json(data) for data in header["manifests"]]
    step = header["restored_step"]
    run.experiment = config.from_json(header["experiment"])
    run.forget_rate()
    run.saved = True
    if step is None:
        run.traces = [Trace.empty(manifest) for manifest in told]
        run.say("")
        run.reached = 0
        return
    traces = []
    for lane, manifest in enumerate(told):
        trace = run.traces[lane] if lane < len(run.traces) else None
        if trace is None or _last_step(trace) < step:
            trace = _saved(directory, lane)
        trace = trace.truncated(step) if trace else Trace.empty(manifest)
        trace.manifest = manifest
        traces.append(trace)
    run.traces = traces
    if step == 0 and run.recovering and run.reached:
        run.notice += " Nothing of it could be restored, so it is trained again from step 0."


def rows(run: LabRun, header: dict[str, Any], tables: dict[str, Any]) -> None:
    """New rows, and the state of the controls."""
    step = int(header["step"])
    new = [_of_lane(tables, lane) for lane in range(len(header["lanes"]))]
    for trace, rows_of_lane in zip(run.traces, new, strict=False):
        if rows_of_lane:
            trace.extend(rows_of_lane)
    if (experiment := header.pop("experiment", None)) is not None:
        before = len(run.traces)
        _reconfigure(run, config.from_json(experiment))
        for trace, rows_of_lane in zip(run.traces[before:], new[before:], strict=False):
            trace.extend(rows_of_lane)
    run.header = header
    run.recovering = bool(header["recovering"])
    if not run.recovering:
        run.reached = step
    run.waiting = [order for order in run.waiting if order.number > header["handled"]]
    for trace, lane in zip(run.traces, header["lanes"], strict=True):
        if (trace.manifest.status, trace.manifest.diverged_step) != (lane["status"], lane["diverged_step"]):
            trace.manifest = trace.manifest.with_(status=lane["status"], diverged_step=lane["diverged_step"])
    run.measure(time.monotonic())


def _of_lane(tables: dict[str, Any], lane: int) -> dict[str, Any]:
    return {kept: tables[name] for name in tables if (kept := name.removeprefix(f"{lane}/")) != name}


def _reconfigure(run: LabRun, experiment: Experiment) -> None:
    """Edits and forks: manifests say them, a new lane begins with the past of its parent, one that went is gone."""
    run.experiment, run.cost = experiment, cost.project(experiment)
    del run.traces[len(experiment.lanes) :]
    for lane in range(len(run.traces), len(experiment.lanes)):
        parent = experiment.lanes[lane].parent
        assert parent is not None  # lanes are only added by forks
        trace = run.traces[parent.lane - 1].truncated(parent.step)
        new = {"run_id": f"{run.view_id}-{lane + 1}", "status": "paused", "diverged_step": None}
        trace.manifest = trace.manifest.with_(**new)
        run.traces.append(trace)
    for lane, trace in enumerate(run.traces):
        trace.manifest = trace.manifest.with_(name=experiment.label(lane), config=experiment.lane_config(lane))


def ended(run: LabRun, message: str, directory: Path, advice: str = "") -> None:
    """No engine holds the run any more; its rows stay, and the next command opens it again."""
    lanes = [{**lane, "status": "interrupted"} for lane in run.header.get("lanes", ())]
    run.header = {"step": 0, "goal": None, **run.header, "running": False, "lanes": lanes}
    run.answer_all()
    run.say(message, advice)
    run.gone, run.recovering, run.moving = True, False, False
    if not run.traces and run.saved:  # what is on disk can still be looked at
        run.traces = saved_traces(directory, len(run.experiment.lanes))
    for trace in run.traces:
        trace.manifest = trace.manifest.with_(status="interrupted")
    run.measure(time.monotonic())


def saved_traces(directory: Path, lanes: int) -> list[Trace]:
    """What is saved of a run, a trace a lane; lanes that cannot be read are left out."""
    return [trace for lane in range(lanes) if (trace := _saved(directory, lane)) is not None]


def _saved(directory: Path, lane: int) -> Trace | None:
    try:
        return bundle.read(store.lane_directory(directory, lane))
    except (OSError, BundleError):
        return None


def _last_step(trace: Trace) -> int:
    steps = trace.values("steps", "step")
    return int(steps[-1]) if len(steps) else 0
