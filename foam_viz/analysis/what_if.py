"""A replay as a run: its decisions as a trace, so that every panel draws what would have happened beside what did."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from foam_viz.analysis.replay import Replay
from foam_viz.trace import Manifest, Trace

WHAT_IF = "what if"


def as_trace(replay: Replay, manifest: Manifest, last_step: int, name: str = WHAT_IF) -> Trace:
    """The checks of a replay as those of a run of the same task.

    Args:
        replay: What a setting would have done.
        manifest: Of the recorded run.
        last_step: The recorded run's last step, at which this one ends too.
        name: Of the run.

    Returns:
        A trace with checks alone: nothing was trained, so there is no loss.
    """
    setting = replay.setting
    config = {**manifest.config, "optimizer": setting.optimizer, "optimizer_settings": dict(setting.values)}
    told = manifest.with_(
        name=name, config=config, optimizer=setting.optimizer, status="finished", diverged_step=None,
        run_id=f"{manifest.run_id}-replay",
    )  # fmt: skip
    decision = replay.values("decision")
    decomposes = replay.decomposes
    measure = replay.table["measure"]
    nothing = pa.nulls(len(replay.table), pa.float64())
    measured = setting.policy.measures
    checks = pa.table(
        {
            "step": replay.table["step"],
            "factor": replay.table["factor"],
            "checks": np.ones(len(decision), np.int32),
            "decompositions": decomposes.astype(np.int32),
            "reuses": (decision == "reuse").astype(np.int32),
            "cap_refreshes": (decision == "cap").astype(np.int32),
            "decision": replay.table["decision"],
            "epsilon_before": replay.table["epsilon_before"],
            "epsilon": replay.table["epsilon"],
            "proxy": measure if measured == "proxy" else nothing,
            "residual": measure if measured == "residual" else nothing,
            "last_decomposition_step": replay.table["last_decomposition_step"],
        }
    )
    steps = pa.table({"step": sorted({1, last_step})})  # from its first step to its last, as the recorded run
    return Trace(told, steps=steps, checks=checks)
