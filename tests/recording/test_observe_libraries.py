"""Real optimizers of other libraries, watched: what is recorded against what their own state says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foam_viz.recording import stream
from foam_viz.trace import Stream, Trace
from tests.recording.libraries import library
from tests.recording.test_observe import rows, train
from tests.rows import factor_rows

STEPS, LOOK = 12, 10


def _heavyball(name: str) -> Callable[[Any], Any]:
    heavyball = library("heavyball")
    heavyball.utils.compile_mode = None
    return lambda p: getattr(heavyball, name)(p, lr=1e-3, precondition_frequency=4)


def _overlap(row: dict[str, Any]) -> np.ndarray:
    size = row["overlap_size"]
    return np.frombuffer(row["overlap"], np.uint8).reshape(size, size).astype(int)


def _expected_overlap(current: np.ndarray, basis: np.ndarray) -> np.ndarray:
    values, fresh = np.linalg.eigh(current)
    old = np.argsort(np.diagonal(basis.T @ current @ basis), kind="stable")[::-1]
    mixed = basis[:, old].T @ fresh[:, np.argsort(values)[::-1]]
    return np.rint(np.square(mixed) * 255).astype(int)


def watched(path: Path, make: Callable[[Any], Any], look: Callable[[Any, Any, int], Any]) -> tuple[Trace, dict, list]:
    """Train; what ``look`` finds of the first parameter's first factor after each step, and the trace."""
    seen: dict[int, Any] = {}
    kept: list[Any] = []

    def after(step: int, optimizer: Any) -> None:
        kept[:] = [optimizer]
        parameter = optimizer.param_groups[0]["params"][0]
        found = look(optimizer, optimizer.state[parameter], 0)
        seen[step] = [None if part is None else part.detach().double().numpy().copy() for part in found]

    trace = train(path, make, STEPS, after=after, snapshot_every=LOOK)
    return trace, seen, kept


def _changes(seen: dict[int, Any]) -> list[int]:
    """Steps after which the watched matrix is another one, by value; what it starts as, 0 or I, is none."""
    found, last = [], None
    for step, (_, matrix) in seen.items():
        made = last is not None or not any(np.array_equal(matrix, c * np.eye(len(matrix))) for c in (0, 1))
        if made and (last is None or not np.array_equal(matrix, last)):
            found.append(step)
        last = matrix
    return found


@pytest.mark.parametrize("name, rule", [("SOAP", "soap"), ("KLSOAP", "kl_soap"), ("KLShampoo", "kl_shampoo")])
def test_heavyball(tmp_path: Path, name: str, rule: str) -> None:
    def look(optimizer: Any, state: Any, place: int) -> Any:
        mine = state[0]
        return mine[f"scale_by_{rule}_GG_3"][place][0], mine[f"scale_by_{rule}_Q_3"][place][0]

    trace, seen, _ = watched(tmp_path / "run", _heavyball(name), look)
    assert [info.size for info in trace.manifest.factors] == [4, 6, 6, 4]
    assert [info.id for info in trace.manifest.factors] == ["0.block_0.0", "0.block_0.1", "1.block_0.0", "1.block_0.1"]
    mine = rows(trace, 0)
    assert [row["step"] for row in mine] == _changes(seen) and len(mine) > 2
    assert [row["decision"] for row in mine] == ["first"] + ["cadence"] * (len(mine) - 1)
    assert all(row["epsilon"] is None for row in mine)
    row = next(r for r in factor_rows(trace, "snapshots", 0).to_pylist() if r["step"] == LOOK)
    current, basis = seen[LOOK][0], seen[LOOK - 1][1]
    np.testing.assert_allclose(row["eigenvalues"], np.linalg.eigvalsh(current)[::-1], rtol=1e-6, atol=1e-9)
    assert np.abs(_overlap(row) - _expected_overlap(current, basis)).max() <= 1
    assert row["true_error"] is None


def test_pytorch_optimizers_shampoo(tmp_path: Path) -> None:
    make = library("pytorch_optimizer").Shampoo
    trace, seen, _ = watched(
        tmp_path / "run",
        lambda p: make(p, lr=1e-3, preconditioning_compute_steps=4, matrix_eps=1e-3),
        lambda _, state, place: (state[f"pre_cond_{place}"], state[f"inv_pre_cond_{place}"]),
    )
    mine = rows(trace, 0)
    assert [row["step"] for row in mine] == _changes(seen)
    assert {row["epsilon"] for row in mine} == {1e-3}
    row = next(r for r in factor_rows(trace, "snapshots", 0).to_pylist() if r["step"] == LOOK)
    current, inverse = seen[LOOK][0], seen[LOOK - 1][1]
    np.testing.assert_allclose(row["eigenvalues"], np.linalg.eigvalsh(current)[::-1] - 1e-3, rtol=1e-5, atol=1e-9)
    values, basis = np.linalg.eigh(current)
    fresh = (basis * values**-0.25) @ basis.T
    error = np.linalg.norm(fresh - inverse) / np.linalg.norm(inverse)
    assert row["true_error"] == pytest.approx(error, rel=1e-4) and error > 1e-3
    assert row["epsilon"] == 1e-3


@pytest.mark.parametrize("svd", [True, False])
@pytest.mark.parametrize("block", [64, 3])
def test_pytorch_optimizers_scalable_shampoo(tmp_path: Path, svd: bool, block: int) -> None:
    make = library("pytorch_optimizer").ScalableShampoo
    trace, seen, _ = watched(
        tmp_path / "run",
        lambda p: make(
            p, lr=1e-3, block_size=block, start_preconditioning_step=4, preconditioning_compute_steps=4,
            shape_interpretation=False, use_svd=svd, matrix_eps=1e-4,
        ),
        lambda _, state, place: (
            state["pre_conditioner"].statistics[place], state["pre_conditioner"].pre_conditioners[place]
        ),
    )  # fmt: skip
    sizes = {64: [4, 6, 6, 4], 3: [3, 3, 3, 3, 1, 3, 1, 3, 3, 3, 3, 1, 3, 3, 3, 1]}[block]
    assert [info.size for info in trace.manifest.factors] == sizes
    mine = rows(trace, 0)
    assert [row["step"] for row in mine] == _changes(seen) and len(mine) >= 2
    row = next(r for r in factor_rows(trace, "snapshots", 0).to_pylist() if r["step"] == LOOK)
    current, inverse = seen[LOOK][0], seen[LOOK - 1][1]
    values, basis = np.linalg.eigh(current)
    np.testing.assert_allclose(row["eigenvalues"], values[::-1], rtol=1e-5, atol=1e-9)
    # The damping in force is that of the statistics before the step of the snapshot.
    damping = 0.0 if svd else 1e-4 * float(np.linalg.eigvalsh(seen[LOOK - 1][0])[-1])
    fresh = (basis * (values + damping) ** -0.25) @ basis.T
    error = np.linalg.norm(fresh - inverse) / np.linalg.norm(inverse)
    assert row["true_error"] == pytest.approx(error, rel=1e-3)


def test_pytorch_optimizers_splus(tmp_path: Path) -> None:
    make = library("pytorch_optimizer").SPlus
    trace, seen, _ = watched(
        tmp_path / "run",
        lambda p: make(p, lr=1e-3, inverse_steps=4),
        lambda _, state, place: (state["sides"][place], state["q_sides"][place]),
    )
    mine = rows(trace, 0)
    assert [row["step"] for row in mine] == _changes(seen)
    row = next(r for r in factor_rows(trace, "snapshots", 0).to_pylist() if r["step"] == LOOK)
    current, basis = seen[LOOK][0], seen[LOOK - 1][1]
    np.testing.assert_allclose(row["eigenvalues"], np.linalg.eigvalsh(current)[::-1], rtol=1e-6, atol=1e-9)
    assert np.abs(_overlap(row) - _expected_overlap(current, basis)).max() <= 1


@pytest.mark.parametrize("make", [torch.optim.Muon, torch.optim.Adafactor], ids=["Muon", "Adafactor"])
def test_torchs_own_without_factors_is_named_once(tmp_path: Path, make: Any) -> None:
    trace = train(tmp_path / "run", lambda p: make(p, lr=1e-3), 30)
    events = [event for event in trace.events.to_pylist() if event["kind"] == "no-factors"]
    assert len(events) == 1 and make.__name__ in events[0]["message"]
    assert trace.rows("checks") == trace.rows("snapshots") == 0


def test_a_stream_of_a_foreign_optimizer_keeps_what_it_has(tmp_path: Path) -> None:
    chosen = Stream(factors=("0.block_0.0",), every=4)
    train(tmp_path / "run", _heavyball("SOAP"), 8, stream=chosen)
    factors = [sample for sample in stream.read(tmp_path / "run").samples if sample.kind == "factor"]
    assert [(sample.step, sample.beta, sample.root) for sample in factors] == [(4, None, None), (8, None, None)]
    assert all(np.array_equal(sample.current(), sample.values) for sample in factors)
