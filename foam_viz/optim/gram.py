"""Symmetric products by half: the factor statistics, L <- beta L + w U U^T, and products known to be symmetric."""

from __future__ import annotations

import torch
from torch import Tensor

# On a CPU the lower triangle of a symmetric product is left out in blocks of this width; below twice the width the
# calls cost more than they save. `complete` mirrors the upper triangle before anything reads the matrix as a whole.
TRIANGLE_WIDTH = 128


# At a check a CPU takes matrices in portions of so many entries (1 MiB of float32): its caches hold them from one
# operation to the next, and their temporaries come from memory that was used before. Whole stacks of 512 x 512
# matrices cost more in page faults and cache misses than in arithmetic (docs/performance.md).
PORTION = 2**18


def on_host(tensor: Tensor) -> bool:
    """Whether a tensor lies in the host's memory, where ``.item()`` does not synchronize and calls are cheap."""
    return tensor.device.type == "cpu"


def portion(stack: Tensor) -> int:
    """How many matrices of a stack, (N, n, n), are treated together at a check: on a device all of them."""
    return max(1, PORTION // stack[0].numel() if on_host(stack) else len(stack))


def unfold(gradient: Tensor, dim: int) -> Tensor:
    """The mode unfolding G_(k), (n_k, rest), of a tensor of at least one dimension; a view for vectors and matrices."""
    if gradient.dim() == 2:
        return gradient if dim == 0 else gradient.t()
    return gradient.movedim(dim, 0).reshape(gradient.shape[dim], -1)


def stripes(statistics: Tensor) -> list[list[Tensor]]:
    """Per matrix the stripes that ``accumulate`` writes: its upper block triangle, or all of it in one piece.

    Args:
        statistics: L, (N, n, n); what is returned are views, to be made once.
    """
    width = TRIANGLE_WIDTH if is_triangular(statistics) else max(1, statistics.shape[-1])
    starts = range(0, statistics.shape[-1], width)
    return [[matrix[i : i + width, i:] for i in starts] for matrix in statistics.unbind(0)]


def accumulate(statistics: Tensor, parts: list[list[Tensor]], gradients: list[Tensor], dim: int, beta: float) -> None:
    """L <- beta L + (1 - beta) G_(k) G_(k)^T in place; beta = 1 means a plain sum.

    Args:
        statistics: L, (N, n, n). On a CPU only the upper block triangle is kept up to date: see ``complete``.
        parts: ``stripes(statistics)``.
        gradients: N gradients of one shape, in the dtype of the statistics.
        dim: The dimension k whose factor this is.
        beta: Decay of the statistics.
    """
    weight = 1 - beta if beta < 1 else 1.0
    if not on_host(statistics):
        unfolded = torch.stack([unfold(gradient, dim) for gradient in gradients])
        statistics.baddbmm_(unfolded, unfolded.mT, beta=beta, alpha=weight)
        return
    for mine, gradient in zip(parts, gradients, strict=True):
        left = gradient if gradient.dim() == 1 else unfold(gradient, dim)
        right = left if gradient.dim() == 1 else left.t()
        if len(mine) == 1:  # no slices where there is nothing to leave out: on small models calls are what costs
            _add_product(mine[0], left, right, beta, weight)
            continue
        start = 0
        for stripe in mine:
            stop = start + stripe.shape[0]
            _add_product(stripe, left[start:stop], right[..., start:], beta, weight)
            start = stop


def _add_product(target: Tensor, left: Tensor, right: Tensor, beta: float, weight: float) -> None:
    if left.dim() == 1:
        target.addr_(left, right, beta=beta, alpha=weight)
    else:
        target.addmm_(left, right, beta=beta, alpha=weight)


def is_triangular(statistics: Tensor) -> bool:
    """Whether only the upper block triangle of matrices of this size and device is computed."""
    return on_host(statistics) and statistics.shape[-1] >= 2 * TRIANGLE_WIDTH


def complete(statistics: Tensor) -> Tensor:
    """Mirrors the upper block triangle into the lower one, in place; returns the statistics, (..., n, n)."""
    if is_triangular(statistics):
        for i in range(TRIANGLE_WIDTH, statistics.shape[-1], TRIANGLE_WIDTH):
            columns = slice(i - TRIANGLE_WIDTH, i)
            statistics[..., i:, columns] = statistics[..., columns, i:].mT
    return statistics


def symmetric_product(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """``left @ right``, (..., n, n), for factors whose product is known to be symmetric.

    Args:
        left: (..., n, n).
        right: (..., n, n).
        out: Where it is written, (..., n, n), contiguous; new by default.
    """
    if not is_triangular(left):
        return torch.matmul(left, right, out=out)
    result = torch.empty_like(right, memory_format=torch.contiguous_format) if out is None else out
    size = left.shape[-1]
    stacks = (stack.reshape(-1, size, size) for stack in (result, left, right))
    for target, first, second in zip(*stacks, strict=True):
        for i in range(0, size, TRIANGLE_WIDTH):
            # Straight into it: a product of slices of stacks would be copied there (5 to 10 % of the time).
            target[i : i + TRIANGLE_WIDTH, i:].addmm_(first[i : i + TRIANGLE_WIDTH], second[:, i:], beta=0)
    return complete(result)
