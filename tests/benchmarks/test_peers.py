"""Whom the benchmarks time: each of the project's own can be built and stepped, FOAM at the rate that was set."""

from __future__ import annotations

import pytest
import torch

from benchmarks import peers
from foam_viz.optim.refresh import Foam


@pytest.mark.parametrize("workload", peers.PATTERN)
def test_foam_decomposes_in_the_pattern(workload: str) -> None:
    decompositions, checks = peers.PATTERN[workload]
    weights = torch.nn.Parameter(torch.randn(12, 8, generator=torch.Generator().manual_seed(0)))
    optimizer = peers._forced(workload)([weights], Foam(period=1), lr=1e-3)
    optimizer.param_groups[0]["refresh"].follow(decompositions, checks, len(optimizer.factors()))
    generator = torch.Generator().manual_seed(1)
    for _ in range(1 + 4 * checks):  # the first check decomposes by itself
        weights.grad = torch.randn(12, 8, generator=generator)
        optimizer.step()
    assert sum(factor.decompositions for factor in optimizer.factors()) == 2 + 2 * 4 * decompositions
