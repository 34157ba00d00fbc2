"""A slow Shampoo in float64 numpy, block by block, written from the formulas: what the library is compared with."""

from __future__ import annotations

import numpy as np


def inverse_root(matrix: np.ndarray, epsilon: float, root: int, rule: str = "shift") -> np.ndarray:
    values, basis = np.linalg.eigh(matrix)
    shifted, floored = values - min(values.min(), 0.0), np.maximum(values, 2.0**-52 * values.max())
    values = shifted if rule == "shift" else floored
    return basis @ np.diag((values + epsilon) ** (-1.0 / root)) @ basis.T


def unfold(tensor: np.ndarray, dim: int) -> np.ndarray:
    return np.moveaxis(tensor, dim, 0).reshape(tensor.shape[dim], -1)


def contract(matrix: np.ndarray, tensor: np.ndarray, dim: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(matrix, tensor, axes=(1, dim)), 0, dim)


class SlowShampoo:
    """One block, decomposed at every check; ``start`` and ``period`` count optimizer steps."""

    def __init__(
        self,
        weight: np.ndarray,
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        root: int | None = 2,
        eigenvalues: str = "shift",
        period: int = 2,
        start: int = 2,
        epsilon: float = 1e-6,
        grafting: str | None = "adam",
        grafting_beta2: float | None = None,
        grafting_epsilon: float = 1e-8,
        preconditioned: bool = True,
    ) -> None:
        self.weight = weight.astype(np.float64).copy()
        self.lr, self.betas, self.weight_decay = lr, betas, weight_decay
        self.rule = eigenvalues
        self.root = root or 2 * max(weight.ndim, 1)
        self.period, self.start, self.epsilon = period, start, epsilon
        self.grafting, self.grafting_epsilon = grafting, grafting_epsilon
        self.grafting_beta2 = betas[1] if grafting_beta2 is None else grafting_beta2
        self.preconditioned = preconditioned
        self.factors = [np.zeros((n, n)) for n in weight.shape]
        self.roots: list[np.ndarray] | None = None
        self.m, self.v, self.t = np.zeros_like(self.weight), np.zeros_like(self.weight), 0

    def step(self, gradient: np.ndarray | None, step: int) -> None:
        if gradient is None:
            return
        beta1, beta2 = self.betas
        g = gradient.astype(np.float64)
        self.t += 1
        for dim, factor in enumerate(self.factors):
            new = unfold(g, dim) @ unfold(g, dim).T
            self.factors[dim] = factor + new if beta2 == 1 else beta2 * factor + (1 - beta2) * new
        b = self.grafting_beta2
        self.v = self.v + g**2 if b == 1 else b * self.v + (1 - b) * g**2
        if self.preconditioned and step >= self.start and (step == self.start or step % self.period == 0):
            correction = 1 if beta2 == 1 else 1 - beta2**self.t
            self.roots = [inverse_root(f / correction, self.epsilon, self.root, self.rule) for f in self.factors]
        self.m = beta1 * self.m + (1 - beta1) * g
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v if b == 1 else self.v / (1 - b**self.t)
        adam = m_hat / (np.sqrt(v_hat) + self.grafting_epsilon)
        if not self.preconditioned:
            direction = adam
        elif self.roots is None:
            direction = adam if self.grafting == "adam" else m_hat
        else:
            direction = m_hat
            for dim, root in enumerate(self.roots):
                direction = contract(root, direction, dim)
            if self.grafting is not None:
                length = np.linalg.norm(adam if self.grafting == "adam" else m_hat)
                direction = direction * length / (np.linalg.norm(direction) + 1e-16)
        self.weight = self.weight - self.lr * (direction + self.weight_decay * self.weight)
