"""SOAP and eigenvalue-corrected Shampoo in float64 numpy, parameter by parameter, slow and written from the formulas.

The momentum is kept in the coordinates of the parameter and rotated there and back at every step, as published.
"""

from __future__ import annotations

import numpy as np

from tests.optim.reference import contract, unfold


class SlowSoap:
    """One parameter; ``tau`` turns the residual criterion on, ``bases`` holds ``None`` where nothing is rotated."""

    def __init__(
        self,
        weight: np.ndarray,
        *,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        period: int = 2,
        max_preconditioner_dim: int = 10000,
        precondition_1d: bool = False,
        tau: float | None = None,
    ) -> None:
        self.weight = weight.astype(np.float64).copy()
        self.lr, self.betas, self.eps, self.weight_decay, self.period = lr, betas, eps, weight_decay, period
        self.beta = betas[1] if shampoo_beta is None else shampoo_beta
        rotated = weight.ndim > 1 or (weight.ndim == 1 and precondition_1d)
        self.dims = [k for k, n in enumerate(weight.shape) if rotated and n <= max_preconditioner_dim]
        self.factors = {k: np.zeros((weight.shape[k],) * 2) for k in self.dims}
        self.bases: dict[int, np.ndarray] = {}
        self.renewals = {k: 0 for k in self.dims}
        self.m, self.v, self.calls, self.tau = np.zeros_like(self.weight), np.zeros_like(self.weight), 0, tau

    def rotate(self, tensor: np.ndarray, back: bool = False) -> np.ndarray:
        for k, basis in self.bases.items():
            tensor = contract(basis if back else basis.T, tensor, k)
        return tensor

    def step(self, gradient: np.ndarray | None) -> None:
        if gradient is None:
            return
        self.calls += 1
        n = self.calls - 1
        if n > 0:
            self.update(gradient, n)
        for k in self.dims:
            self.factors[k] += (1 - self.beta) * (unfold(gradient, k) @ unfold(gradient, k).T - self.factors[k])
        if n == 0:
            self.bases = {k: np.linalg.eigh(self.factors[k])[1][:, ::-1] for k in self.dims}
            self.renewals = {k: 1 for k in self.dims}
        elif n % self.period == 0:
            for k in self.dims:
                self.renew(k)

    def update(self, gradient: np.ndarray, n: int) -> None:
        b1, b2 = self.betas
        rotated = self.rotate(gradient)
        self.m = b1 * self.m + (1 - b1) * gradient
        self.v = b2 * self.v + (1 - b2) * rotated**2
        u = self.rotate(self.rotate(self.m) / (np.sqrt(self.v) + self.eps), back=True)
        self.weight -= self.lr * np.sqrt(1 - b2**n) / (1 - b1**n) * u
        self.weight -= self.lr * self.weight_decay * self.weight

    def renew(self, k: int) -> None:
        basis, factor = self.bases[k], self.factors[k]
        seen = basis.T @ factor @ basis
        if self.tau is not None and np.linalg.norm(seen - np.diag(np.diag(seen))) <= self.tau * np.linalg.norm(seen):
            return
        order = np.argsort(-np.diag(seen))
        self.v = np.take(self.v, order, axis=k)
        self.bases[k] = np.linalg.qr(factor @ basis[:, order])[0]
        self.renewals[k] += 1


class SlowCorrected:
    """One block of eigenvalue-corrected Shampoo, decomposed at ``start`` and at multiples of ``period`` after it."""

    def __init__(
        self,
        weight: np.ndarray,
        *,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        period: int = 2,
        start: int = 2,
        preconditioned: bool = True,
    ) -> None:
        self.weight = weight.astype(np.float64).copy()
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.period, self.start, self.preconditioned = period, start, preconditioned
        self.factors = [np.zeros((n, n)) for n in weight.shape]
        self.bases = [np.eye(n) for n in weight.shape]
        self.m, self.v, self.t = np.zeros_like(self.weight), np.zeros_like(self.weight), 0

    def rotate(self, tensor: np.ndarray, back: bool = False) -> np.ndarray:
        for k, basis in enumerate(self.bases):
            tensor = contract(basis if back else basis.T, tensor, k)
        return tensor

    def step(self, gradient: np.ndarray) -> None:
        b1, b2 = self.betas
        self.t += 1
        for k, factor in enumerate(self.factors):
            new = unfold(gradient, k) @ unfold(gradient, k).T
            self.factors[k] = factor + new if b2 == 1 else b2 * factor + (1 - b2) * new
        if self.preconditioned and (self.t == self.start or (self.t > self.start and self.t % self.period == 0)):
            self.bases = [np.linalg.eigh(factor)[1][:, ::-1] for factor in self.factors]
        self.m = b1 * self.m + (1 - b1) * gradient
        square = self.rotate(gradient) ** 2
        self.v = self.v + square if b2 == 1 else b2 * self.v + (1 - b2) * square
        v_hat = self.v if b2 == 1 else self.v / (1 - b2**self.t)
        direction = self.rotate(self.m / (1 - b1**self.t)) / (np.sqrt(v_hat) + self.eps)
        self.weight -= self.lr * (self.rotate(direction, back=True) + self.weight_decay * self.weight)
