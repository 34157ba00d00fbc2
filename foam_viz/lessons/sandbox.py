"""A factor built by hand: turn its basis, scale it, add mass, and read every measure of staleness.

Numpy in float64, so that a page may call it: a factor of 64 rows takes about two milliseconds. The formulas are
those of ``foam_viz.optim.linalg`` and ``foam_viz.optim.measures``, and a test holds one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from foam_viz.optim.fields import Field, FieldError, check_all

CHANGES = ("turn-top", "turn-bottom", "swap-bottom", "scale", "add-mass", "none")

FIELDS: tuple[Field, ...] = (
    Field(
        name="rows", kind="integer", default=64, low=4, high=256, label="Rows", help="Size n of the factor.",
    ),
    Field(
        name="smallest", kind="real", default=1e-6, low=1e-12, high=1.0, label="Smallest eigenvalue",
        help="The spectrum falls from 1 to this on a logarithmic scale; 1 makes it flat.",
    ),
    Field(
        name="change", kind="choice", default="turn-bottom", choices=CHANGES, label="Change",
        help="What happens to the factor after it was decomposed: its two largest or two smallest directions turn, the "
        "two smallest eigenvalues change places, everything is scaled, or one empty direction gains mass.",
    ),
    Field(
        name="amount", kind="real", default=45.0, low=0.0, high=1e6, label="Amount",
        help="Degrees for a turn, the factor for a scale, the new mass for an empty direction.",
    ),
    Field(
        name="apart", kind="integer", default=8, low=1, high=255, label="Directions apart",
        help="How many places lie between the two directions that turn or swap: near-equal eigenvalues hide a turn.",
    ),
    Field(
        name="epsilon", kind="real", default=1e-9, low=1e-30, high=1.0, label="ε",
        help="Damping in force when the change is measured.",
    ),
    Field(
        name="tau", kind="real", default=0.75, low=1e-6, high=1.0, label="τ",
        help="FOAM raises ε to ε h / τ while h exceeds this.",
    ),
    Field(
        name="root", kind="integer", default=2, low=1, high=8, label="p",
        help="The inverse root X = (A + ε)^(-1/p).",
    ),
)  # fmt: skip


class Readings(NamedTuple):
    """What every measure says of one stale inverse root.

    Attributes:
        h: FOAM's proxy RC alpha / p (Nam & Ahn 2026), without unit.
        residual: || off-diagonal of B ||_F / || B ||_F (Eschenhagen et al. 2025).
        operator_error: || X_fresh - X_stale ||_F / || X_stale ||_F.
        update_error: Root mean square over random gradients of || (X_stale - X_fresh) g || / || X_fresh g ||, which for
            white gradients is || X_stale - X_fresh ||_F / || X_fresh ||_F of gradients drawn from the new factor.
        grafted_error: The same after both updates got one length.
        cosine: Of the angle between the mean stale and fresh updates.
        next_epsilon: max(eps, eps h / tau): the damping that FOAM would choose.
        spectrum, stale_spectrum: Eigenvalues of the new and of the old factor, descending.
    """

    h: float
    residual: float
    operator_error: float
    update_error: float
    grafted_error: float
    cosine: float
    next_epsilon: float
    spectrum: np.ndarray
    stale_spectrum: np.ndarray


def review(setting: Mapping[str, float | str]) -> tuple[dict[str, float | str], list[FieldError]]:
    """Return the whole setting, defaults for what is missing or refused, and what was refused."""
    return check_all(FIELDS, setting)


def read(setting: Mapping[str, float | str]) -> Readings:
    """Build the factor, change it, and measure what the old basis and eigenvalues still say of it.

    Raises:
        FieldError: A setting is out of range.
    """
    checked, errors = review(setting)
    if errors:
        raise errors[0]
    rows, root, epsilon = int(checked["rows"]), int(checked["root"]), float(checked["epsilon"])
    stale = np.geomspace(1.0, float(checked["smallest"]), rows)
    current = _changed(stale, checked)  # in the old eigenbasis: the factor A is B itself
    damped = stale + epsilon
    drift = current - np.diag(stale)
    whitened = drift / np.sqrt(np.outer(damped, damped))
    power = (damped / damped.min()) ** (-1.0 / root)
    alpha = 1.0 / np.linalg.norm(power)
    h = float(np.linalg.norm(whitened) * alpha / root)
    values, basis = np.linalg.eigh(current)
    values = values.clip(0)
    fresh_root = (basis * (values + epsilon) ** (-1.0 / root)) @ basis.T
    stale_root = np.diag(damped ** (-1.0 / root))
    off = current - np.diag(np.diag(current))
    error, grafted, cosine = _update_error(stale_root, fresh_root, current)
    return Readings(
        h=h,
        residual=float(np.linalg.norm(off) / (np.linalg.norm(current) or 1.0)),
        operator_error=float(np.linalg.norm(fresh_root - stale_root) / np.linalg.norm(stale_root)),
        update_error=error,
        grafted_error=grafted,
        cosine=cosine,
        next_epsilon=max(epsilon, epsilon * h / float(checked["tau"])),
        spectrum=values[::-1],
        stale_spectrum=stale,
    )


def changed_factor(setting: Mapping[str, float | str]) -> np.ndarray:
    """Return the factor after the change, (n, n), in the eigenbasis from before it."""
    checked, _ = review(setting)
    return _changed(np.geomspace(1.0, float(checked["smallest"]), int(checked["rows"])), checked)


def _changed(stale: np.ndarray, setting: Mapping[str, float | str]) -> np.ndarray:
    change, amount, last = setting["change"], float(setting["amount"]), len(stale) - 1
    apart = min(int(setting["apart"]), last)
    pair = [0, apart] if change == "turn-top" else [last - apart, last]
    current = np.diag(stale)
    if change in ("turn-top", "turn-bottom"):
        cosine, sine = math.cos(math.radians(amount)), math.sin(math.radians(amount))
        turn = np.array([[cosine, -sine], [sine, cosine]])
        current[np.ix_(pair, pair)] = turn @ np.diag(stale[pair]) @ turn.T
    elif change == "swap-bottom":
        current[pair, pair] = stale[pair[::-1]]
    elif change == "scale":
        current *= amount
    elif change == "add-mass":
        current[last, last] += amount
    return current


def _update_error(stale_root: np.ndarray, fresh_root: np.ndarray, current: np.ndarray) -> tuple[float, float, float]:
    """Compare updates of gradients whose covariance is the new factor: norms of X A^(1/2), exactly, without drawing."""
    values, basis = np.linalg.eigh(current)
    square_root = (basis * np.sqrt(values.clip(0))) @ basis.T
    stale, fresh = stale_root @ square_root, fresh_root @ square_root
    stale_norm, fresh_norm = np.linalg.norm(stale), np.linalg.norm(fresh)
    if not (stale_norm and fresh_norm):
        return 0.0, 0.0, 0.0
    return (
        float(np.linalg.norm(stale - fresh) / fresh_norm),
        float(np.linalg.norm(stale / stale_norm - fresh / fresh_norm)),
        float(np.vdot(stale, fresh) / (stale_norm * fresh_norm)),
    )
