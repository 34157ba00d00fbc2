"""Traces as readers of foreign logs make them: intervals with counts, totals alone, values few and far between."""

from __future__ import annotations

import numpy as np

from foam_viz.trace import Manifest, Trace, record_batch
from tests.synthetic import factor_infos

ARTIFACT = {
    "epsilon": 1e-4,
    "max_epsilon": 1e-1,
    "matrix_root_inv_threshold": 0.5,
    "diagonal_residual_threshold": 0.4,
    "precondition_frequency": 2,
    "start_preconditioning_step": 2,
}


def intervals(optimizer: str = "foam", factors: int = 3, epochs: int = 4, length: int = 32) -> Trace:
    """Counts of each factor by epoch, damping and proxy at its end, and no snapshots."""
    manifest = Manifest(
        run_id="log", name="log", format="foam-artifact", optimizer=optimizer, config=ARTIFACT,
        factors=factor_infos()[:factors],
    )  # fmt: skip
    trace = Trace.empty(manifest)
    ends = np.arange(1, epochs + 1) * length
    loss = {"step": ends, "loss": np.linspace(2, 1, epochs), "held_out_loss": np.linspace(2.2, 1.2, epochs)}
    trace.append("steps", record_batch("steps", loss))
    for epoch, end in enumerate(ends):
        done = 3 if epoch % 2 == 0 else 0
        trace.append(
            "checks",
            record_batch(
                "checks",
                {
                    "step": np.full(factors, end),
                    "interval_start": np.full(factors, end - length + 1),
                    "factor": np.arange(factors, dtype=np.int32),
                    "checks": np.full(factors, length // 2, dtype=np.int32),
                    "decompositions": np.full(factors, done, dtype=np.int32),
                    "reuses": np.full(factors, length // 2 - done, dtype=np.int32),
                    "cap_refreshes": np.zeros(factors, dtype=np.int32),
                    "epsilon": 1e-4 * (1.5 + epoch) * np.ones(factors),
                    "proxy": 0.1 + 0.1 * np.arange(factors),
                    "last_decomposition_step": np.full(factors, end - 3),
                },
            ),
        )
    return trace


def totals(with_factors: bool = False) -> Trace:
    """Counts of all factors together, and nothing of single ones."""
    infos = factor_infos()[:3] if with_factors else ()
    trace = Trace.empty(Manifest(run_id="all", name="all", format="foam-artifact", optimizer="foam", factors=infos))
    trace.append("steps", record_batch("steps", {"step": [32, 64, 96], "loss": [2.0, 1.5, 1.2]}))
    rows = {
        "step": [32, 64, 96],
        "interval_start": [1, 33, 65],
        "checks": [48, 48, 48],
        "decompositions": [9, 3, 6],
        "reuses": [39, 45, 42],
    }
    trace.append("checks", record_batch("checks", rows))
    return trace
