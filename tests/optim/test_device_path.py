"""What runs on a GPU, exercised on the CPU: batched by size, and one transfer to the host in a step that checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from foam_viz.optim import gram
from foam_viz.optim.eigenvalue_corrected import EigenvalueCorrectedShampoo
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, FoamFreshEigenvalues
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

SHAPES = [(6, 4), (6, 4), (4, 6), (260, 3), (5,), (), (3, 2, 2)]
OPTIMIZERS: dict[str, Callable[[list[torch.Tensor]], FactoredOptimizer]] = {
    "shampoo": lambda w: Shampoo(w, lr=0.1, refresh=EveryCheck(period=2)),
    "shampoo-matrices": lambda w: Shampoo(w, lr=0.1, refresh=EveryCheck(period=2), precondition="matrices"),
    "shampoo-staggered": lambda w: Shampoo(w, lr=0.1, refresh=EveryCheck(period=4, stagger=True)),
    "foam": lambda w: Shampoo(w, lr=0.1, refresh=Foam(period=2, epsilon_max=1e-8)),
    "foam-fresh-eigenvalues": lambda w: Shampoo(w, lr=0.1, refresh=FoamFreshEigenvalues(period=2, epsilon_max=1e-8)),
    "corrected": lambda w: EigenvalueCorrectedShampoo(w, lr=0.1, refresh=EveryCheck(period=2)),
    "soap": lambda w: SOAP(w, lr=0.1, period=2),
    "soap-residual": lambda w: SOAP(w, lr=0.1, refresh=DiagonalizationResidual(period=2, tau=0.3)),
}


class Transfers(TorchDispatchMode):
    """Counts what would make the host wait for a device: numbers, truth values, and copies to the host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.count, self.solved = 0, []
        for name in ("tolist", "cpu", "numpy"):
            monkeypatch.setattr(torch.Tensor, name, self._counting(getattr(torch.Tensor, name)))
        for name in ("eigh", "qr"):
            monkeypatch.setattr(torch.linalg, name, self._noting(getattr(torch.linalg, name)))

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return method(tensor, *args, **kwargs)

        return counted

    def _noting(self, solve: Callable[..., Any]) -> Callable[..., Any]:
        def noted(matrices: torch.Tensor) -> Any:
            self.solved.append(tuple(matrices.shape))
            return solve(matrices)

        return noted

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.count += 1
        return operator(*args, **(kwargs or {}))


def build(name: str) -> tuple[list[torch.Tensor], FactoredOptimizer]:
    weights = [torch.ones(shape, requires_grad=True) for shape in SHAPES]
    return weights, OPTIMIZERS[name](weights)


def step(weights: list[torch.Tensor], optimizer: FactoredOptimizer, number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_that_checks_transfers_once_and_any_other_never(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "on_host", lambda tensor: False)
    weights, optimizer = build(name)
    transfers = Transfers(monkeypatch)
    for number in range(1, 13):
        before = sum(factor.checks for factor in optimizer.factors())
        transfers.count = 0
        with transfers:
            step(weights, optimizer, number)
        checked = sum(factor.checks for factor in optimizer.factors()) > before
        assert transfers.count == checked
    assert sum(factor.decompositions for factor in optimizer.factors()) > len(optimizer.factors())


def test_the_counter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    transfers, number = Transfers(monkeypatch), torch.ones(())
    for wait in (number.item, number.tolist, number.cpu, number.numpy, lambda: bool(number), lambda: float(number)):
        transfers.count = 0
        with transfers:
            wait()
        assert transfers.count == 1


def test_factors_of_one_size_are_decomposed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "on_host", lambda tensor: False)
    weights, optimizer = build("shampoo")
    transfers = Transfers(monkeypatch)
    step(weights, optimizer, 1)
    assert transfers.solved == []
    step(weights, optimizer, 2)
    assert sorted(transfers.solved) == sorted(
        (len(factor_stack.factors), factor_stack.size, factor_stack.size) for factor_stack in optimizer.factor_stacks()
    )
    assert (
        len({factor_stack.size for factor_stack in optimizer.factor_stacks()})
        == len(optimizer.factor_stacks())
        < len(optimizer.factors())
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_both_paths_give_the_same_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # No factor has a null space, in which a basis could be chosen freely; 260 is large enough for block triangles.
    shapes, results = [(4, 4), (4, 4), (260, 260), (2, 3, 4)], []
    for host in (True, False):
        monkeypatch.setattr(gram, "on_host", lambda tensor, host=host: host)
        weights = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        optimizer = OPTIMIZERS[name](weights)
        for number in range(1, 6):
            step(weights, optimizer, number)
        results.append(weights)
    for host, device in zip(*results, strict=True):
        torch.testing.assert_close(host, device, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_portions_of_a_check_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, results = [(4, 4), (4, 4), (4, 6), (6, 4), (2, 3, 4)], []
    for entries in (1, 40, gram.PORTION):  # one matrix at a time, one or two, all
        monkeypatch.setattr(gram, "PORTION", entries)
        weights = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        optimizer = OPTIMIZERS[name](weights)
        seen: list[int] = []
        optimizer.observer = lambda observed, seen=seen: seen.extend(observed.positions)
        for number in range(1, 6):
            step(weights, optimizer, number)
        results.append((weights, sorted(seen)))
    for weights, seen in results[1:]:
        assert seen == results[0][1] and seen
        for one, other in zip(weights, results[0][0], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_spectrum_of_some_rows_costs_those_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, optimizer = build("soap")
    for number in range(1, 3):
        step(weights, optimizer, number)
    factor_stack = max(optimizer.factor_stacks(), key=lambda factor_stack: len(factor_stack.factors))
    whole, rows = factor_stack.eigenvalues, list(range(0, len(factor_stack.factors), 2))
    asked: list[list[int]] = []
    current = type(factor_stack).current
    monkeypatch.setattr(
        type(factor_stack), "current", lambda self, rows: asked.append(list(rows)) or current(self, rows)
    )
    assert torch.equal(factor_stack.spectrum(rows), whole[rows]) and len(rows) > 1
    assert asked == [rows]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_small_model_is_treated_as_one_stack_with_the_same_numbers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes, results = [(4, 4), (4, 4), (4, 6), (5,), (2, 3, 4)], []
    for small in (0, 2**16):
        monkeypatch.setattr("foam_viz.optim.batch.SMALL", small)
        weights = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        optimizer = OPTIMIZERS[name](weights)
        for number in range(1, 6):
            step(weights, optimizer, number)
        results.append(weights)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
