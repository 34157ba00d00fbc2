"""The results of a sweep as a table: one row a run, read from its bundle. Imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foam_viz.engine import store
from foam_viz.engine.sweep.runner import RECORD
from foam_viz.optim.fields import FieldError
from foam_viz.trace.counts import total
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.final import final_of


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
        }
        if entry["status"] in ("finished", "diverged"):
            row |= _measured(out / entry["name"])
        rows.append(row)
    return rows


def _measured(folder: Path) -> dict[str, Any]:
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


def best(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The finished run of the least loss; None where there is none."""
    finished = [row for row in rows if row["status"] == "finished" and isinstance(row.get("loss"), float)]
    finite = [row for row in finished if math.isfinite(row["loss"])]
    return min(finite, key=lambda row: row["loss"], default=None)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table with a header."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
