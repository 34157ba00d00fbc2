"""Traces that the tests of the trace package share."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch


@pytest.fixture
def manifest() -> Manifest:
    """A run with the two factors of one matrix and the single factor of its bias."""
    factors = (
        FactorInfo(id="0.block_0.0", parameter="layer.weight", block=0, dim=0, order=2, size=6),
        FactorInfo(id="0.block_0.1", parameter="layer.weight", block=0, dim=1, order=2, size=6),
        FactorInfo(id="1.block_0.0", parameter="layer.bias", block=0, dim=0, order=1, size=6),
    )
    config = {"lr": 1e-2, "refresh": {"name": "foam", "tau": 0.75}}
    return Manifest(run_id="f" * 32, name="run", task="digits-autoencoder", config=config, factors=factors)


@pytest.fixture
def batches():
    """A function from a range of steps to the batches of every table for them, as a live run would append them."""

    def build(steps: range) -> dict[str, object]:
        step = np.array(steps)
        checked = np.repeat(step, 3)
        factor = np.tile(np.arange(3), len(step))
        rng = np.random.default_rng(0)
        return {
            "steps": record_batch(
                "steps",
                {"step": step, "loss": 1.0 / (1 + step), "accuracy": step * 0.5, "held_out_loss": [None] * len(step)},
                {"accuracy": "%"},
            ),
            "checks": record_batch(
                "checks",
                {
                    "step": checked,
                    "factor": factor,
                    "checks": np.ones(len(checked), int),
                    "decompositions": (checked % 5 == 0).astype(int),
                    "decision": ["cap" if s % 5 == 0 else "reuse" for s in checked],
                    "proxy": np.where(checked % 7 == 0, np.nan, checked * 0.1),
                },
            ),
            "snapshots": record_batch(
                "snapshots",
                {
                    "step": step,
                    "factor": step % 3,
                    "last_decomposition_step": step // 5 * 5,
                    "epsilon": np.full(len(step), 1e-9),
                    "eigenvalues": [np.linspace(s + 1, 1, 6) for s in step],
                    "basis_eigenvalues": np.tile(np.linspace(2, 1, 6), (len(step), 1)),
                    "overlap": [rng.integers(0, 255, (4, 4), np.uint8) for _ in step],
                    "overlap_size": np.full(len(step), 4),
                },
            ),
            "events": record_batch(
                "events", {"step": step, "kind": ["pause"] * len(step), "message": [f"at {s}" for s in step]}
            ),
        }

    return build


@pytest.fixture
def trace(manifest: Manifest, batches) -> Trace:
    """Forty steps of every table."""
    trace = Trace.empty(manifest)
    for table, batch in batches(range(1, 41)).items():
        trace.append(table, batch)
    return trace


@pytest.fixture
def same():
    """A function that asserts that two traces hold the same manifest and the same rows, NaN included."""

    def check(left: Trace, right: Trace) -> None:
        assert left.manifest == right.manifest
        for table in ("steps", "checks", "snapshots", "events"):
            # Not Table.equals: NaN is not equal to itself there.
            assert left.table(table).schema.equals(right.table(table).schema, check_metadata=True)
            assert repr(left.table(table).to_pylist()) == repr(right.table(table).to_pylist())

    return check
