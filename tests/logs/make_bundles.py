"""Small run bundles for tests of reading: one run, and the folders of several ranks of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch
from foam_viz.trace.disk import bundle


def factor(parameter: int, dim: int) -> FactorInfo:
    return FactorInfo(
        id=f"{parameter}.block_0.{dim}", parameter=f"layer{parameter}.weight", block=0, dim=dim, order=2, size=4
    )


def make_trace(name: str = "run", factors: tuple[FactorInfo, ...] = (), **fields: object) -> Trace:
    """A run of 20 steps with a check of each factor at steps 10 and 20."""
    trace = Trace.empty(Manifest(run_id=f"id-{name}", name=name, factors=factors, **fields))
    steps = np.arange(1, 21)
    trace.append("steps", record_batch("steps", {"step": steps, "loss": 2.0 / steps, "mfu": steps / 40}))
    for step in (10, 20):
        count = len(factors)
        checks = {"step": [step] * count, "factor": list(range(count)), "checks": [1] * count}
        trace.append(
            "checks", record_batch("checks", {**checks, "decision": ["reuse"] * count, "proxy": [step / 100] * count})
        )
        snapshots = {"step": [step] * count, "factor": list(range(count)), "eigenvalues": [[3.0, 1.0]] * count}
        trace.append("snapshots", record_batch("snapshots", snapshots))
    events = {"step": [5], "kind": ["changed"], "factor": [None], "value": [0.5], "message": [f"{name} was changed"]}
    trace.append("events", record_batch("events", events))
    return trace


def make_bundles(folder: Path) -> Path:
    """Write one run as a folder."""
    bundle.write(make_trace("run", (factor(0, 0), factor(0, 1))), folder / "bundle")
    return folder / "bundle"


def make_ranks(folder: Path, ranks: int = 2, world_size: int = 2) -> Path:
    """Write what the ranks of one run record: factor 0.block_0.0 by all of them, one of its own by each."""
    for rank in range(ranks):
        writer = {"rank": rank, "world_size": world_size, "run": "big"}
        trace = make_trace(
            f"big-{rank}", (factor(0, 0), factor(rank + 1, 1)), config={"writer": writer}, notes=(f"note of {rank}",)
        )
        bundle.write(trace, folder / "big" / f"rank_{rank:05d}")
    return folder / "big"
