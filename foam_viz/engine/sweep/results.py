"""The results of a sweep as a table: one row a run, read from its bundle. Imports no torch."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.sweep.runner import RECORD
from foam_viz.optim.fields import FieldError
from foam_viz.trace.counts import total
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.final import final_of

_OF_ONE_RUN = ("name", "status", "message", "seed", "loss", "checks", "decompositions", "optimizer_seconds")
"""What the runs of one setting need not share."""
_MOST_KEPT = 2000


@dataclass(frozen=True)
class Best:
    """The setting that trained a task best.

    Attributes:
        task: The task.
        loss: Mean over its seeds of the mean of the last training losses.
        runs: Rows of its runs, by seed.
    """

    task: str
    loss: float
    runs: tuple[Mapping[str, Any], ...]

    @property
    def words(self) -> str:
        """``mean of 3 seeds``, or which seed it was."""
        first, *more = self.runs
        return f"mean of {len(self.runs)} seeds" if more else f"seed {first['seed']} alone"


def read(out: str | Path) -> list[dict[str, Any]]:
    """One row a run, in the order of the sweep; a run that is not there has its status alone.

    Raises:
        FieldError: The folder holds no sweep.
    """
    out = Path(out)
    record = store.read_json(out / RECORD)
    if record is None or not isinstance(record.get("runs"), list):
        raise FieldError("OUT", str(out), "the folder of a sweep")
    rows = []
    for entry in record["runs"]:
        config = entry["config"]
        row: dict[str, Any] = {
            "name": entry["name"],
            "status": entry["status"],
            "message": entry["message"],
            "task": config["task"],
            "optimizer": config["optimizer"],
            "seed": config["run_settings"]["seed"],
            "steps": config["run_settings"]["steps"],
            **config["optimizer_settings"],
            **{key: value for part in ("task_settings", "run_settings") for key, value in config[part].items()
               if key not in ("seed", "steps")},
        }  # fmt: skip
        if entry["status"] in ("finished", "diverged"):
            row |= _read_once(out / entry["name"])
        rows.append(row)
    return rows


def _read_once(folder: Path) -> dict[str, Any]:
    try:
        changed = (folder / "manifest.json").stat().st_mtime_ns  # a bundle appears whole
    except OSError as error:
        return {"message": f"its bundle cannot be read: {error.strerror or error}"}
    return dict(_measured(folder, changed))


@lru_cache(maxsize=_MOST_KEPT)
def _measured(folder: Path, changed: int) -> Mapping[str, Any]:
    try:
        trace = bundle.read(folder)
    except (OSError, BundleError) as error:
        return {"message": str(error)}
    seconds = trace.values("steps", "optimizer_seconds")
    last = final_of(trace, "loss")
    return {
        "loss": last.value if last.count else None,
        "checks": total(trace, "checks"),
        "decompositions": total(trace, "decompositions"),
        "optimizer_seconds": float(seconds[-1]) if len(seconds) else None,
    }


def varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that were swept, the seed aside: that differ between runs of one task and optimizer."""
    found: dict[str, dict[tuple[str, str], set[str]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in (*_OF_ONE_RUN, "task", "optimizer"):
                found.setdefault(name, {}).setdefault((row["task"], row["optimizer"]), set()).add(repr(value))
    return [name for name, groups in found.items() if any(len(values) > 1 for values in groups.values())]


def best(rows: Sequence[Mapping[str, Any]]) -> list[Best]:
    """The setting of each task with the least loss, a mean over its seeds; losses of two tasks are no rivals.

    A setting with a run that diverged or failed is none of the best. While a sweep trains, settings are compared that
    have the most seeds so far. Tasks without a finished run are left out.
    """
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(sorted((name, repr(value)) for name, value in row.items() if name not in _OF_ONE_RUN))
        found.setdefault((row["task"], *key), []).append(row)
    candidates: dict[str, list[Best]] = {}
    for (task, *_), runs in found.items():
        losses = {row["name"]: row["loss"] for row in runs if row["status"] == "finished" and _is_number(row)}
        if losses and not any(row["status"] in ("diverged", "failed") for row in runs):
            ended = tuple(row for row in runs if row["name"] in losses)
            candidates.setdefault(task, []).append(Best(task, statistics.fmean(losses.values()), ended))
    return [min(mine, key=lambda one: (-len(one.runs), one.loss)) for mine in candidates.values()]


def _is_number(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("loss"), float) and math.isfinite(row["loss"])


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table with a header."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
