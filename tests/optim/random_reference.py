"""Shampoo, eigenvalue-corrected Shampoo and SOAP in float64 numpy with every setting, for runs drawn at random.

One parameter at a time, slow, and written from the formulas. Of the library only the policies are used, as records of
their numbers: when they check and what they decide is worked out here again.

An eigenbasis is not unique: signs are free, and so are the directions within an eigenspace of several dimensions, such
as the null space that factors have until they saw enough gradients. What follows may depend on the choice (an
eigenvalue correction does, SOAP's second moment does). So a reference takes over the library's basis, but only after it
has verified that it is one of those that its own factor allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from foam_viz.optim.refresh import (
    DiagonalizationResidual,
    EveryCheck,
    FoamFixedDamping,
    FoamFreshEigenvalues,
    FoamNoRefresh,
    Policy,
)
from tests.optim.reference import contract, unfold

# The basis that the library has now for the factor of an id; None where it keeps none.
LibraryBasis = Callable[[str], np.ndarray | None]
# As a share of the largest eigenvalue. Far above rounding, which is all that a floor of float64 would change: the test
# gives the library the same.
FLOOR = 1e-2
EXACT = 1e-9  # of the largest entry: what an orthonormal, a diagonal or a triangular matrix may be off by


def merged(shape: tuple[int, ...], limit: int) -> tuple[int, ...]:
    kept: list[int] = []
    for size in (size for size in shape if size != 1):
        if kept and kept[-1] * size <= limit:
            kept[-1] *= size
        else:
            kept.append(size)
    return tuple(kept) or (1,)


def blocks(shape: tuple[int, ...], limit: int) -> list[tuple[slice, ...]]:
    return list(product(*[[slice(i, min(i + limit, size)) for i in range(0, size, limit)] for size in shape]))


def is_preconditioned(shape: tuple[int, ...], precondition: str) -> bool:
    return {"all": True, "none": False, "matrices": sum(size > 1 for size in shape) >= 2}[precondition]


def is_turn(policy: Policy, step: int, position: int, count: int) -> bool:
    """Whether factor ``position`` of the ``count`` of a group is checked; taking turns begins after the first check."""
    start = policy.period if policy.start is None else policy.start
    if step <= start:
        return step == start
    staggered = type(policy) is EveryCheck and policy.stagger
    return step % policy.period == (position * policy.period // count if staggered else 0)


def residual(rotated: np.ndarray) -> float:
    length = np.linalg.norm(rotated)
    return float(np.linalg.norm(rotated - np.diag(np.diag(rotated))) / length) if length > 0 else 0.0


def require_orthonormal(basis: np.ndarray) -> None:
    assert np.abs(basis.T @ basis - np.eye(len(basis))).max() <= EXACT, "the library's basis is not orthonormal"


def verified_eigenbasis(library: np.ndarray | None, matrix: np.ndarray, descending: bool) -> np.ndarray:
    """The library's basis, which must be an eigenbasis of the reference's own matrix; the reference's where none is."""
    eigenvalues, basis = np.linalg.eigh(matrix)
    if descending:
        eigenvalues, basis = eigenvalues[::-1], basis[:, ::-1]
    if library is None:
        return basis
    require_orthonormal(library)
    off = np.abs(library.T @ matrix @ library - np.diag(eigenvalues)).max()
    assert off <= EXACT * np.abs(eigenvalues).max(), "the library's basis does not diagonalize the factor"
    return library


def verified_orthonormal_factor(library: np.ndarray | None, image: np.ndarray) -> np.ndarray:
    """The library's basis Q, which must satisfy image = QR with R triangular."""
    assert library is not None
    require_orthonormal(library)
    below = np.abs(np.tril(library.T @ image, -1)).max()
    assert below <= EXACT * np.abs(image).max(), "the library's basis is no orthonormal factor of LQ"
    return library


class SlowFactor:
    """One factor, and what a check does with it.

    Attributes:
        name: The id of the library's factor.
        place: Its index within the parameter group, and ``places`` their number: for taking turns.
        seen: Gradients of the parameter at the last check.
    """

    def __init__(
        self, name: str, size: int, root: int, epsilon: float, descending: bool = False, floor: float = 0.0
    ) -> None:
        self.name, self.root, self.epsilon, self.descending, self.floor = name, root, epsilon, descending, floor
        self.statistics, self.inverse_root = np.zeros((size, size)), np.eye(size)
        self.basis: np.ndarray | None = None
        self.eigenvalues = np.zeros(size)
        self.place, self.places = 0, 1
        self.checks = self.decompositions = self.seen = 0

    def accumulate(self, gradient: np.ndarray, dim: int, beta: float) -> None:
        new = unfold(gradient, dim) @ unfold(gradient, dim).T
        self.statistics = self.statistics + new if beta == 1 else beta * self.statistics + (1 - beta) * new

    def check(self, current: np.ndarray, policy: Policy, library_basis: LibraryBasis) -> None:
        self.checks += 1
        kind = type(policy)
        if self.basis is None or kind is EveryCheck:
            self.decompose(current, policy, library_basis)
            return
        rotated = self.basis.T @ current @ self.basis
        if kind is DiagonalizationResidual:
            stale, epsilon = residual(rotated) > policy.tau, policy.epsilon
        elif kind is FoamFixedDamping:
            stale, epsilon = self.proxy(rotated) > policy.tau, policy.epsilon
        else:
            epsilon = max(policy.epsilon, self.epsilon * self.proxy(rotated) / policy.tau)
            stale = epsilon > policy.epsilon_max
            if kind is FoamNoRefresh:
                stale, epsilon = False, min(epsilon, policy.epsilon_max)
        if stale:
            self.decompose(current, policy, library_basis)
            return
        if kind in (DiagonalizationResidual, FoamFreshEigenvalues):
            self.eigenvalues = np.maximum(np.diag(rotated), 0)
        self.set_root(epsilon)

    def decompose(self, current: np.ndarray, policy: Policy, library_basis: LibraryBasis) -> None:
        self.decompositions += 1
        self.basis = verified_eigenbasis(library_basis(self.name), current, self.descending)
        eigenvalues = np.linalg.eigvalsh(current)
        eigenvalues = eigenvalues - min(eigenvalues.min(), 0.0)
        self.eigenvalues = eigenvalues[::-1] if self.descending else eigenvalues
        self.set_root(policy.epsilon)

    def set_root(self, epsilon: float) -> None:
        self.epsilon = epsilon
        scale = self.damped() ** (-1 / self.root)
        self.inverse_root = self.basis @ np.diag(scale) @ self.basis.T

    def damped(self) -> np.ndarray:
        return np.maximum(self.eigenvalues, self.floor * self.eigenvalues.max()) + self.epsilon

    def proxy(self, rotated: np.ndarray) -> float:
        """h, with the damping in force before the check."""
        s = self.damped()
        relative_condition = np.linalg.norm((rotated - np.diag(self.eigenvalues)) / np.sqrt(np.outer(s, s)))
        scale = s ** (-1 / self.root)
        return float(relative_condition * scale.max() / np.linalg.norm(scale) / self.root)


class SlowParameter:
    """One parameter of a group with the given settings.

    Attributes:
        weight: W, in the shape of the parameter.
        shape: The shape in which it is cut into blocks.
        slices: Where its blocks lie; one block of everything without preconditioning, none in an empty parameter.
        factors: Per block those of its dimensions; none without preconditioning.
        steps: Gradients seen, t.
    """

    def __init__(self, weight: np.ndarray, settings: Mapping[str, Any], index: int) -> None:
        self.weight, self.settings = weight.copy(), settings
        self.shape, self.slices = weight.shape, [(slice(None),) * weight.ndim] if weight.size else []
        self.steps = 0
        self.factors: list[dict[int, SlowFactor]] = [{} for _ in self.slices]
        self._lay_out(index)
        self.m, self.v = np.zeros(self.shape), np.zeros(self.shape)

    def _lay_out(self, index: int) -> None:
        if not is_preconditioned(self.weight.shape, self.settings["precondition"]):
            return
        limit = self.settings["max_preconditioner_dim"]
        self.shape = merged(self.weight.shape, limit) if self.settings["merge_dims"] else self.weight.shape or (1,)
        self.slices = blocks(self.shape, limit)
        sizes = [np.zeros(self.shape)[block].shape for block in self.slices]
        self.factors = [
            {k: self._factor(f"{index}.block_{number}.{k}", size, len(shape)) for k, size in enumerate(shape)}
            for number, shape in enumerate(sizes)
        ]

    def _factor(self, name: str, size: int, order: int) -> SlowFactor:
        root = self.settings["root"] or 2 * order
        floor = FLOOR if self.settings.get("eigenvalues") == "floor" else 0.0
        return SlowFactor(name, size, root, self.settings["refresh"].epsilon, floor=floor)

    def all_factors(self) -> list[SlowFactor]:
        return [factor for factors in self.factors for factor in factors.values()]

    def may_vanish(self) -> bool:
        """Whether the next gradient may be zero without a result that depends on an arbitrary choice."""
        return True

    def step(self, gradient: np.ndarray | None, step: int, library_basis: LibraryBasis) -> None:
        """One step of the optimizer, in which the parameter has a gradient or none."""
        if gradient is not None:
            gradient = gradient.reshape(self.shape)
            self.steps += 1
            for block, factors in zip(self.slices, self.factors, strict=True):
                for k, factor in factors.items():
                    factor.accumulate(gradient[block], k, self.settings["betas"][1])
        self._check(step, library_basis)  # without a gradient too: on what arrived since the last check
        if gradient is not None:
            matrix = self.weight.reshape(self.shape).copy()
            self._accumulate(gradient)
            for block, factors in zip(self.slices, self.factors, strict=True):
                direction = self._direction(block, factors, gradient[block])
                decayed = direction + self.settings["weight_decay"] * matrix[block]
                matrix[block] = matrix[block] - self.settings["lr"] * decayed
            self.weight = matrix.reshape(self.weight.shape)

    def _check(self, step: int, library_basis: LibraryBasis) -> None:
        beta2, policy = self.settings["betas"][1], self.settings["refresh"]
        for factor in self.all_factors():
            if self.steps > factor.seen and is_turn(policy, step, factor.place, factor.places):
                factor.seen = self.steps
                correction = 1 if beta2 == 1 else 1 - beta2**self.steps
                factor.check(factor.statistics / correction, policy, library_basis)

    def _accumulate(self, gradient: np.ndarray) -> None:
        beta1 = self.settings["betas"][0]
        self.m = beta1 * self.m + (1 - beta1) * gradient

    def _direction(self, block: tuple[slice, ...], factors: dict[int, SlowFactor], gradient: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def assign_places(parameters: Sequence[SlowParameter]) -> None:
    """Numbers the factors of a parameter group."""
    factors = [factor for parameter in parameters for factor in parameter.all_factors()]
    for place, factor in enumerate(factors):
        factor.place, factor.places = place, len(factors)


class SlowShampooParameter(SlowParameter):
    """One parameter under ``Shampoo``; AdamW without factors."""

    def _grafting_beta(self) -> float:
        beta = self.settings["grafting_beta2"]
        return self.settings["betas"][1] if beta is None else beta

    def _accumulate(self, gradient: np.ndarray) -> None:
        super()._accumulate(gradient)
        beta = self._grafting_beta()
        self.v = self.v + gradient**2 if beta == 1 else beta * self.v + (1 - beta) * gradient**2

    def _direction(self, block: tuple[slice, ...], factors: dict[int, SlowFactor], gradient: np.ndarray) -> np.ndarray:
        beta, grafting = self._grafting_beta(), self.settings["grafting"]
        m_hat = self.m[block] / (1 - self.settings["betas"][0] ** self.steps)
        v_hat = self.v[block] / (1 if beta == 1 else 1 - beta**self.steps)
        adam = m_hat / (np.sqrt(v_hat) + self.settings["grafting_epsilon"])
        grafted = adam if grafting == "adam" or not factors else m_hat
        if all(factor.basis is None for factor in factors.values()):
            return grafted
        direction = m_hat
        for k, factor in factors.items():
            direction = contract(factor.inverse_root, direction, k)
        if grafting is None:
            return direction
        return direction * np.linalg.norm(grafted) / (np.linalg.norm(direction) + 1e-16)


class SlowCorrectedParameter(SlowParameter):
    """One parameter under ``EigenvalueCorrectedShampoo``; m is kept in the coordinates of the parameter."""

    def _factor(self, name: str, size: int, order: int) -> SlowFactor:
        return SlowFactor(name, size, 2, self.settings["refresh"].epsilon, descending=True)

    def _direction(self, block: tuple[slice, ...], factors: dict[int, SlowFactor], gradient: np.ndarray) -> np.ndarray:
        beta1, beta2 = self.settings["betas"]
        bases = {k: factor.basis for k, factor in factors.items() if factor.basis is not None}
        square = rotate(gradient, bases) ** 2
        self.v[block] = self.v[block] + square if beta2 == 1 else beta2 * self.v[block] + (1 - beta2) * square
        v_hat = self.v[block] / (1 if beta2 == 1 else 1 - beta2**self.steps)
        m_hat = rotate(self.m[block] / (1 - beta1**self.steps), bases)
        return rotate(m_hat / (np.sqrt(v_hat) + self.settings["eps"]), bases, back=True)


class SlowSoapParameter(SlowParameter):
    """One parameter under ``SOAP``, which is never cut; m is rotated back and forth at every gradient, as published."""

    def _lay_out(self, index: int) -> None:
        shape, limit = self.weight.shape, self.settings["max_preconditioner_dim"]
        wanted = is_preconditioned(shape, self.settings["precondition"])
        wanted = wanted and (len(shape) > 1 or self.settings["precondition_1d"])
        for factors in self.factors:  # of the one block, if there is one
            for k, size in enumerate(shape):
                if wanted and size <= limit:
                    factors[k] = SlowFactor(f"{index}.block_0.{k}", size, 2, np.nan)

    @property
    def beta(self) -> float:
        beta = self.settings["shampoo_beta"]
        return self.settings["betas"][1] if beta is None else beta

    def may_vanish(self) -> bool:
        # A renewal orders the columns of Q by diag(Q^T L Q), and v with them. Columns in the null space of L tie there,
        # so their order is free, but v is not the same in all of them. New gradients break the ties; a zero gradient
        # would not. There is no v yet before the first gradient, and there are no ties without a null space.
        spectra = [np.linalg.eigvalsh(factor.statistics) for factor in self.all_factors()]
        return self.steps == 0 or (self.beta > 0 and all(s.min() > 1e-6 * s.max() for s in spectra))

    def step(self, gradient: np.ndarray | None, step: int, library_basis: LibraryBasis) -> None:
        if gradient is None or not self.slices:
            return
        (factors,) = self.factors
        bases = {k: factor.basis for k, factor in factors.items()}
        self.steps += 1
        n = self.steps - 1
        if n > 0:
            self._update(gradient, n, bases)
        for k, factor in factors.items():
            new = unfold(gradient, k) @ unfold(gradient, k).T
            factor.statistics = factor.statistics + (1 - self.beta) * (new - factor.statistics)
            if n == 0:
                factor.checks = factor.decompositions = 1
                factor.basis = verified_eigenbasis(library_basis(factor.name), factor.statistics, descending=True)
            else:
                self._check_basis(factor, k, n, library_basis)

    def _update(self, gradient: np.ndarray, n: int, bases: dict[int, np.ndarray]) -> None:
        beta1, beta2 = self.settings["betas"]
        lr, decay = self.settings["lr"], self.settings["weight_decay"]
        self.m = beta1 * self.m + (1 - beta1) * gradient
        self.v = beta2 * self.v + (1 - beta2) * rotate(gradient, bases) ** 2
        u = rotate(rotate(self.m, bases) / (np.sqrt(self.v) + self.settings["eps"]), bases, back=True)
        self.weight = self.weight - lr * np.sqrt(1 - beta2**n) / (1 - beta1**n) * u
        self.weight = self.weight - lr * decay * self.weight

    def _check_basis(self, factor: SlowFactor, dim: int, n: int, library_basis: LibraryBasis) -> None:
        policy = self.settings["refresh"] or EveryCheck(period=self.settings["period"])
        if not is_turn(policy, n, factor.place, factor.places):
            return
        factor.checks += 1
        rotated = factor.basis.T @ factor.statistics @ factor.basis
        if type(policy) is DiagonalizationResidual and residual(rotated) <= policy.tau:
            return
        factor.decompositions += 1
        order = np.argsort(-np.diag(rotated))
        self.v = np.take(self.v, order, axis=dim)
        image = factor.statistics @ factor.basis[:, order]
        factor.basis = verified_orthonormal_factor(library_basis(factor.name), image)


def rotate(tensor: np.ndarray, bases: Mapping[int, np.ndarray], back: bool = False) -> np.ndarray:
    for k, basis in bases.items():
        tensor = contract(basis if back else basis.T, tensor, k)
    return tensor
