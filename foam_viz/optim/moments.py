"""Adam's moments of a gradient and what they make of it, in as few passes over memory as there are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from foam_viz.optim import gram

_END_OF_TIME = torch.tensor(math.inf)  # t of torch's fused Adam, at which its bias corrections are 1


def advance(
    momenta: list[Tensor],
    second_moments: list[Tensor],
    gradients: list[Tensor],
    beta1: float,
    beta2: float,
) -> None:
    """m <- beta1 m + (1 - beta1) G and v <- beta2 v + (1 - beta2) G^2 in place; beta2 = 1 means a plain sum.

    Args:
        momenta: m of each block.
        second_moments: v of each block; empty where there is none.
        gradients: G of each block, in the dtype of the moments.
        beta1: Decay of m.
        beta2: Decay of v.
    """
    torch._foreach_lerp_(momenta, gradients, 1 - beta1)
    if second_moments:
        torch._foreach_mul_(second_moments, beta2)
        torch._foreach_addcmul_(second_moments, gradients, gradients, value=1 - beta2 if beta2 < 1 else 1.0)


def can_fuse(second_moment: Tensor | None, beta2: float) -> bool:
    """Whether ``advance_to_units`` does it.

    It is kept to the host, where passes over memory count; elsewhere launches do, and t would have to be sent there.
    """
    return second_moment is not None and beta2 < 1 and gram.on_host(second_moment)


def advance_to_units(
    units: list[Tensor],
    momenta: list[Tensor],
    second_moments: list[Tensor],
    gradients: list[Tensor],
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """As ``advance``, and units <- m / (sqrt(v) + eps) in the same pass, by torch's fused Adam.

    Seven passes over memory, read or write, and one for the zeros, where one operation after the other takes fifteen.

    Args:
        units: Zeros, in the shapes of the blocks; written.
        momenta: m of each block, contiguous.
        second_moments: v of each block, contiguous.
        gradients: G of each block, in the dtype of the moments.
        beta1: Decay of m.
        beta2: Decay of v, below 1.
        epsilon: Added to sqrt(v).
    """
    torch._fused_adamw_(
        units, [gradient.contiguous() for gradient in gradients], momenta, second_moments, [],
        [_END_OF_TIME] * len(units), lr=-1.0, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=epsilon, amsgrad=False,
        maximize=False,
    )  # fmt: skip
