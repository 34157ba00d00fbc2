"""Eigendecompositions and orthonormal factors by the solver that serves a device best.

MPS has neither, so the CPU computes them. On CUDA, torch hands stacks to cuSOLVER one matrix at a time, and float32
matrices of up to 512 rows to its Jacobi method, whose eigenvalues are off by up to 1e-4 of the largest one: noise far
above what an inverse root may carry. Such matrices are decomposed in float64, which is also faster, and the matrices of
a stack side by side in streams of their own (docs/performance.md, "On a GPU").
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
from torch import Tensor

_JACOBI_ROWS = 512  # largest matrix that torch gives to cuSOLVER's Jacobi method in float32
_BATCHED_ROWS = 32  # up to here cuSOLVER treats a whole stack in one call
_BATCHED_QR_ROWS = 64  # up to here streams cost more than they save in QR
_STREAMS = 8

Solve = Callable[[Tensor], tuple[Tensor, ...]]


def eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Decompose symmetric matrices.

    Args:
        matrices: (..., n, n), in float32 or float64.

    Returns:
        Eigenvalues (..., n), rising, and eigenvectors in columns (..., n, n), in the dtype and on the device of
        ``matrices``. On MPS they stay on the CPU.

    Raises:
        torch.linalg.LinAlgError: The solver does not converge.
    """
    if matrices.device.type == "cuda":
        rows = matrices.shape[-1]
        source = matrices.double() if rows <= _JACOBI_ROWS else matrices
        solve = _in_streams if rows > _BATCHED_ROWS else _at_once
        values, basis = solve(lambda matrix: tuple(torch.linalg.eigh(matrix)), source)
        return values.to(matrices.dtype), basis.to(matrices.dtype)
    values, basis = torch.linalg.eigh(_reachable(matrices))
    return values, basis


def orthonormal(matrices: Tensor) -> Tensor:
    """The orthonormal factor of QR, (..., n, n), as of ``torch.linalg.qr``, which copies R out besides.

    Args:
        matrices: (..., n, n).
    """
    if matrices.device.type == "cuda":
        solve = _in_streams if matrices.shape[-1] > _BATCHED_QR_ROWS else _at_once
        return solve(_factor, matrices)[0]
    return _factor(_reachable(matrices))[0].to(matrices.device)


def _factor(matrices: Tensor) -> tuple[Tensor]:
    return (torch.linalg.householder_product(*torch.geqrf(matrices)),)


def _reachable(matrices: Tensor) -> Tensor:
    return matrices.cpu() if matrices.device.type == "mps" else matrices


def _at_once(solve: Solve, matrices: Tensor) -> tuple[Tensor, ...]:
    return solve(matrices)


def _in_streams(solve: Solve, matrices: Tensor) -> tuple[Tensor, ...]:
    """Solve each matrix of a stack by a thread and a stream of its own, a few at a time.

    The solver waits for its stream, and torch releases the interpreter meanwhile. Results are copied into stacks of the
    current stream, which goes on when all are done.
    """
    if matrices.dim() < 3 or len(matrices) == 1:
        return solve(matrices)
    current = torch.cuda.current_stream(matrices.device)
    streams, pool = _workers(matrices.device)
    ready = current.record_event()

    def solve_part(part: int) -> list[tuple[Tensor, ...]]:
        with torch.no_grad(), torch.cuda.stream(streams[part]):
            streams[part].wait_event(ready)
            return [solve(matrix) for matrix in matrices[part::_STREAMS]]

    parts = list(pool.map(solve_part, range(min(_STREAMS, len(matrices)))))
    for stream in streams:
        current.wait_stream(stream)
    found = [parts[i % _STREAMS][i // _STREAMS] for i in range(len(matrices))]
    for results in found:
        for result in results:  # allocated in another stream: its memory must not be given away before the stacking
            result.record_stream(current)
    return tuple(torch.stack(results) for results in zip(*found, strict=True))


@lru_cache(maxsize=8)
def _workers(device: torch.device) -> tuple[list[torch.cuda.Stream], ThreadPoolExecutor]:
    # torch loads its solvers at their first use, which must not happen in several threads at once.
    one = torch.ones(1, 1, device=device)
    torch.linalg.eigh(one)
    _factor(one)
    streams = [torch.cuda.Stream(device) for _ in range(_STREAMS)]
    return streams, ThreadPoolExecutor(_STREAMS, thread_name_prefix="solver")
