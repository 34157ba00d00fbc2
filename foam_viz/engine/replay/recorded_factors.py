"""The factors of a recording: their matrices at each recorded check, and the stacks in which training had them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from foam_viz.engine.replay.spill import Spill
from foam_viz.optim import check, gram
from foam_viz.trace.manifest import FactorInfo

RELEASE_EVERY = 32
"""Steps, or matrices read, after which what lies in files is let go of."""


@dataclass(eq=False)
class RecordedFactor:
    """One factor at its K recorded checks.

    Attributes:
        info: The factor.
        number: Its number in the manifest.
        root: p.
        beta: beta2 of the statistics; None where only A is known.
        steps: Optimizer steps of the checks.
        counts: t of each: gradients that the statistics had seen.
        statistics: L, (K, n, n).
        traces: Trace of each; one that is not finite cannot be decomposed.
        epsilon: Damping in force after each check of the recorded run, where it is known.
        basis: Q of each, (K, n, n), once decomposed.
        eigenvalues: D of each as the solver gave it, rising, (K, n).
        failed: Whether the decomposition failed.
    """

    info: FactorInfo
    number: int
    root: int
    beta: float | None
    steps: list[int]
    counts: list[int]
    statistics: Tensor
    traces: list[float]
    epsilon: list[float | None]
    basis: Tensor = field(default_factory=lambda: torch.empty(0))
    eigenvalues: Tensor = field(default_factory=lambda: torch.empty(0))
    lifted: Tensor = field(default_factory=lambda: torch.empty(0))
    floored: Tensor = field(default_factory=lambda: torch.empty(0))
    failed: list[bool] = field(default_factory=list)

    @property
    def corrections(self) -> list[float]:
        """1 - beta2^t of each check."""
        return check.corrections(1.0 if self.beta is None else self.beta, self.counts)

    def spectrum(self, rule: str) -> Tensor:
        """D of each check, (K, n), as a rule for the smallest eigenvalues keeps it: a floor is taken at each use."""
        return self.eigenvalues if rule == "floor" else self.lifted

    def used(self, rule: str) -> Tensor:
        """D of each check, (K, n), as it is damped: floored, or lifted."""
        return self.floored if rule == "floor" else self.lifted


@dataclass(eq=False)
class RecordedStack:
    """Factors that training stacked: of one size, root and dtype, in the order of its rows.

    Attributes:
        factors: In order.
        checks: By step, rising: the factors that were checked, as (row, check of that factor).
        spill: Where their matrices lie; None where they are in memory.
    """

    factors: list[RecordedFactor]
    checks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    spill: Spill | None = None

    def release(self, count: int) -> None:
        """Let go of what was read from files, once in a while: ``count`` rises with what was read."""
        if self.spill is not None and count % RELEASE_EVERY == 0:
            self.spill.release()

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the recorded checks of each factor begin among those of all, one factor after the other, (R,)."""
        return np.array([0, *accumulate(len(factor.steps) for factor in self.factors)])[:-1]

    @cached_property
    def rows(self) -> np.ndarray:
        """The factor of each recorded check, (T,)."""
        return np.repeat(np.arange(len(self.factors)), [len(factor.steps) for factor in self.factors])

    @cached_property
    def numbers(self) -> np.ndarray:
        """k: the number of each recorded check among those of its factor, (T,)."""
        return np.arange(len(self.rows)) - self.starts[self.rows]

    @cached_property
    def steps(self) -> np.ndarray:
        """The step of each recorded check, (T,)."""
        return np.concatenate([factor.steps for factor in self.factors])

    @cached_property
    def failed(self) -> np.ndarray:
        """Whether each recorded factor could not be decomposed, (T,), once decomposed."""
        return np.concatenate([np.array(factor.failed, bool) for factor in self.factors])

    @property
    def size(self) -> int:
        """n."""
        return self.factors[0].info.size

    @property
    def root(self) -> int:
        """p."""
        return self.factors[0].root

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.factors[0].statistics.dtype

    @property
    def portion(self) -> int:
        """How many factors training measures together."""
        return gram.portion(self.factors[0].statistics[:1])
