"""What is kept of a factor stream: which matrices, of which steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spacing:
    """Which steps a stream keeps: of every ``stride`` checks one, and the first, which always decomposes.

    Attributes:
        every: Steps between two samples before any was thinned out: the check period.
        stride: A power of 2; 1 where nothing was thinned out.
        first: The first step; None before any.
    """

    every: int = 1
    stride: int = 1
    first: int | None = None

    def keeps(self, step: int) -> bool:
        """Whether the samples of a step stay."""
        return step == self.first or (step // self.every) % self.stride == 0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Which factors are kept whole, and when.

    Attributes:
        factors: Ids, or patterns with ``*``, of factors: ``"0.block_0.0"``.
        every: Steps between two samples; the check period, or a divisor of it, allows an exact replay.
        byte_cap: Bytes of numbers that are kept at most; before it is passed, every second sample is thinned out.
        gradients: Whether the gradients of the factors' parameters are kept too.
        gradients_every: They are kept with one of so many samples.

    Raises:
        ValueError: A value is outside its range.
    """

    factors: tuple[str, ...]
    every: int = 10
    byte_cap: int = 50_000_000
    gradients: bool = True
    gradients_every: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.factors, str) or not self.factors or not all(isinstance(f, str) for f in self.factors):
            raise ValueError(f"Stream.factors = {self.factors!r}: must be a tuple of factor ids, like ('0.block_0.0',)")
        for name in ("every", "byte_cap", "gradients_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Stream.{name} = {value!r}: must be a whole number from 1")


@dataclass(frozen=True, eq=False)
class Sample:
    """One matrix of the stream.

    Attributes:
        step: Optimizer step; the matrix is that of the end of the step.
        kind: ``"factor"``, the statistics L of a factor (A where ``beta`` is None), or ``"gradient"``, of a whole
            parameter.
        id: Id of the factor, or name of the parameter.
        values: float32 or float64, as the run computes; (n, n) and symmetric for a factor.
        root: p of the factor, where it is known.
        epsilon: Damping in force after the step, gradient^2, where there is one.
        beta: beta2 of L, so that A = L / (1 - beta2^t); 1 where A is L, None where only A is known.
        steps: t, gradients that L has seen.
    """

    step: int
    kind: str
    id: str
    values: np.ndarray
    root: int | None = None
    epsilon: float | None = None
    beta: float | None = None
    steps: int | None = None

    def current(self) -> np.ndarray:
        """A, (n, n), in the dtype of ``values``: L / (1 - beta2^t), divided as the optimizer divides it."""
        if self.beta is None or not self.beta < 1 or not self.steps:
            return self.values
        return self.values / self.values.dtype.type(1 - self.beta**self.steps)
