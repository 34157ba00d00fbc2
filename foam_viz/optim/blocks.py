"""How a parameter is seen by the preconditioner: small dimensions merged, large ones cut."""

from __future__ import annotations

from itertools import product
from math import prod


def merge_small_dims(shape: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Merges neighbouring dimensions while their product stays within the limit.

    Dimensions of 1 are dropped; from left to right the next dimension is multiplied into the last one kept while the
    product is at most ``limit``: a convolution of 4x3x3x3 becomes 12x9 at limit 16 (Shi et al. 2023, arXiv 2309.06497).

    Args:
        shape: The parameter's shape.
        limit: Largest dimension to merge into, ``max_preconditioner_dim``.
    """
    merged: list[int] = []
    for size in shape:
        if size == 1:
            continue
        if merged and merged[-1] * size <= limit:
            merged[-1] *= size
        else:
            merged.append(size)
    return tuple(merged) or (1,)


def matrix_shape(shape: tuple[int, ...], limit: int, merge: bool) -> tuple[int, ...]:
    """The shape in which a parameter is preconditioned; a scalar counts as a vector of one."""
    return merge_small_dims(shape, limit) if merge else tuple(shape) or (1,)


def cut(shape: tuple[int, ...], limit: int) -> list[tuple[slice, ...]]:
    """Cuts a shape into blocks of at most ``limit`` along every dimension.

    Args:
        shape: The shape to cut; one without elements has no blocks.
        limit: Chunk size, ``max_preconditioner_dim``; the last chunk of a dimension may be smaller.

    Returns:
        One tuple of slices a block, the last dimension running fastest.
    """
    if prod(shape) == 0:
        return []
    chunks = [[slice(i, min(i + limit, size)) for i in range(0, size, limit)] for size in shape]
    return list(product(*chunks))
