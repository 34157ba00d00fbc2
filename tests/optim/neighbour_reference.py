"""KL-Shampoo, KL-SOAP, SPlus and equilibrated Muon in float64 numpy, one matrix each, written from the published rules.

Nothing is batched, momenta are kept in the coordinates of the parameter, and eigenvalues and bases are plain arrays.
"""

from __future__ import annotations

import numpy as np


def _qr(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.qr(matrix)[0]


class SlowKL:
    """One matrix under KL-Shampoo, or under KL-SOAP where ``adaptive``."""

    def __init__(
        self,
        weight: np.ndarray,
        *,
        adaptive: bool,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        period: int = 2,
    ) -> None:
        self.weight = weight.astype(np.float64).copy()
        self.adaptive, self.lr, self.betas, self.eps = adaptive, lr, betas, eps
        self.weight_decay, self.period = weight_decay, period
        self.calls = 0
        self.m = np.zeros_like(self.weight)
        self.v = np.zeros_like(self.weight)

    def _bounded(self, eigenvalues: np.ndarray) -> np.ndarray:
        return np.minimum(eigenvalues**-0.5, max(10, min(len(eigenvalues), 4000)))

    def step(self, g: np.ndarray) -> None:
        beta1, beta2 = self.betas
        rows, columns = g.shape
        self.calls += 1
        if self.calls == 1:
            self.s_left, self.s_right = (1 - beta2) * g @ g.T / columns, (1 - beta2) * g.T @ g / rows
            self.q_left = np.linalg.eigh(self.s_left)[1][:, ::-1]
            self.q_right = np.linalg.eigh(self.s_right)[1][:, ::-1]
            self.left, self.right = np.full(rows, 0.1), np.full(columns, 0.1)
            return
        root_left, root_right = self._bounded(self.left), self._bounded(self.right)
        rotated = self.q_left.T @ g @ self.q_right
        if self.adaptive:
            self.m = beta1 * self.m + (1 - beta1) * rotated
            self.v = beta2 * self.v + (1 - beta2) * rotated**2
            direction = self.m / (np.sqrt(self.v) + self.eps)
        else:
            self.m = beta1 * self.m + (1 - beta1) * g
            w = np.outer(root_left, root_right)
            direction = (self.q_left.T @ self.m @ self.q_right) * (w / (1 + self.eps * w))
        update = self.q_left @ direction @ self.q_right.T
        right_whitened = g @ self.q_right @ np.diag(root_right**2) @ self.q_right.T @ g.T / columns
        left_whitened = g.T @ self.q_left @ np.diag(root_left**2) @ self.q_left.T @ g / rows
        self.s_left = beta2 * self.s_left + (1 - beta2) * right_whitened
        self.s_right = beta2 * self.s_right + (1 - beta2) * left_whitened
        new_left = beta2 * self.left + (1 - beta2) * (rotated**2 * root_right**2).mean(1)
        new_right = beta2 * self.right + (1 - beta2) * (rotated**2 * (root_left**2)[:, None]).mean(0)
        self.left, self.right = new_left, new_right
        if (self.calls - 1) % self.period == 0:
            old_left, old_right = self.q_left, self.q_right
            self.q_left, self.q_right = _qr(self.s_left @ old_left), _qr(self.s_right @ old_right)
            if self.adaptive:
                self.m = self.q_left.T @ (old_left @ self.m @ old_right.T) @ self.q_right
        self.weight = self.weight - self.lr * update
        self.weight = self.weight * (1 - self.lr * self.weight_decay)


class SlowSPlus:
    """One parameter under SPlus."""

    def __init__(
        self,
        weight: np.ndarray,
        *,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        ema: float = 0.999,
        weight_decay: float = 0.01,
        max_preconditioner_dim: int = 10000,
        period: int = 3,
    ) -> None:
        self.weight = weight.astype(np.float64).copy()
        self.lr, self.betas, self.ema, self.weight_decay, self.period = lr, betas, ema, weight_decay, period
        self.limit, self.t = max_preconditioner_dim, 0
        self.m, self.mean = np.zeros_like(self.weight), np.zeros_like(self.weight)
        if weight.ndim == 2:
            self.factors = [np.zeros((n, n)) for n in weight.shape]
            self.bases = [np.eye(n) for n in weight.shape]

    def step(self, g: np.ndarray) -> None:
        self.t += 1
        self.m = self.betas[0] * self.m + (1 - self.betas[0]) * g
        if self.weight.ndim == 2:
            left, right = self.bases
            u = left @ np.sign(left.T @ self.m @ right) @ right.T
            for k, product in enumerate((g @ g.T, g.T @ g)):
                self.factors[k] = self.betas[1] * self.factors[k] + (1 - self.betas[1]) * product
                if (self.t == 1 or self.t % self.period == 0) and len(product) < self.limit:
                    self.bases[k] = np.linalg.eigh(self.factors[k])[1]
            whole = max(self.weight.shape) < self.limit
        else:
            u, whole = np.sign(self.m), False
        rate = self.lr * (2 / sum(self.weight.shape) if whole else 1e-3)
        self.weight = self.weight - rate * u
        self.mean = self.ema * self.mean + (1 - self.ema) * self.weight
        self.weight = self.weight * (1 - rate * self.weight_decay)

    @property
    def evaluated(self) -> np.ndarray:
        return self.mean / (1 - self.ema**self.t)


def slow_equilibrated(matrix: np.ndarray, sides: str, epsilon: float = 1e-8) -> np.ndarray:
    """Rows, columns or both of a matrix scaled to length 1, from the same sums of squares."""
    rows = np.diag(1 / np.sqrt((matrix**2).sum(1) + epsilon))
    columns = np.diag(1 / np.sqrt((matrix**2).sum(0) + epsilon))
    return {
        "none": matrix, "rows": rows @ matrix, "columns": matrix @ columns, "both": rows @ matrix @ columns
    }[sides]  # fmt: skip
