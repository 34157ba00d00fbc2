"""Thresholds for a task from the spectra of its factors: what float32 resolves, what the spectrum damps, what drifts.

eps0 and eps_max have the unit of gradient^2: multiply the loss by 10 and they must grow by 100 to give the same run. So
every suggestion is told relative to the median of trace/n too, which carries a setting from task to task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foam_viz.analysis.replay_setting import Setting
from foam_viz.trace.numbers import number

UNIT = "gradient²"
"""Of eigenvalues and of damping."""
FLOAT32_EPSILON = 2.0**-23
RESOLVED = 4.0
"""eps0 lies this far above what float32 resolves of the largest eigenvalue: its inverse root is then no rounding."""
DAMPED_SHARE = 1 / 3
"""eps_max lies at this quantile of the spectrum, unless drift asks for more: it switches off so many directions."""
TAU = 0.75
"""Of the paper's larger experiment, on ImageNet."""

PAPER: tuple[Mapping[str, Any], ...] = (
    {"experiment": "ViT-S, ImageNet", "period": 20, "tau": 0.75, "epsilon": 1e-9, "epsilon_max": 3e-7},
    {"experiment": "Conformer, LibriSpeech", "period": 50, "tau": 0.4, "epsilon": 1e-9, "epsilon_max": 1e-7},
)
"""Nam & Ahn 2026, arXiv 2606.02365; p = 2, Adam grafting."""


@dataclass(frozen=True)
class Spectra:
    """What calibration reads of a recorded run.

    Attributes:
        steps: Of the recorded checks, (T,).
        largest: Median over factors of the largest eigenvalue, (T,), gradient^2.
        mean: Median over factors of trace/n, (T,), gradient^2.
        quantiles: Of the eigenvalues of all factors and checks at 0, 0.05, ..., 1; (21,), gradient^2.
        smallest: lambda_min: the smallest eigenvalue above 0, gradient^2.
        most: 0.9-quantile over factors and checks of the largest eigenvalue, gradient^2.
        new_mass: M: median over factors and neighbouring checks of the mass that enters directions which had less than
            the suggested eps0 before, gradient^2; 0 where there were no such directions.
        alpha: Median alpha of the factors at the suggested eps0.
        root: p.
    """

    steps: Sequence[int]
    largest: Sequence[float]
    mean: Sequence[float]
    quantiles: Sequence[float]
    smallest: float
    most: float
    new_mass: float
    alpha: float
    root: int

    def quantile(self, share: float) -> float:
        """An eigenvalue that the given share of all eigenvalues lies under."""
        return float(np.interp(share, np.linspace(0, 1, len(self.quantiles)), self.quantiles))


@dataclass(frozen=True)
class Suggestion:
    """Settings for a task.

    Attributes:
        setting: What is suggested.
        relative: eps0 and eps_max as multiples of the median of trace/n, ``unit``.
        unit: The median of trace/n over factors and checks, gradient^2.
        reasons: Rows of what is suggested, its value and why, as text.
        ageing: Rows of step, trace/n, and what the suggestion would be there.
        drift_allowance: alpha M / (p tau): the damping that the mass new between two checks asks for, gradient^2.
    """

    setting: Setting
    relative: Mapping[str, float]
    unit: float
    reasons: tuple[tuple[str, str, str], ...]
    ageing: tuple[Mapping[str, float], ...]
    drift_allowance: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "setting": self.setting.to_json(),
            "relative": dict(self.relative),
            "unit": self.unit,
            "drift_allowance": self.drift_allowance,
            "reasons": [dict(zip(("name", "value", "reason"), row, strict=True)) for row in self.reasons],
            "ageing": [dict(row) for row in self.ageing],
            "paper": [dict(row) for row in PAPER],
        }


def suggest(spectra: Spectra, own: Setting) -> Suggestion:
    """eps0, eps_max and tau for FOAM on the task of a recorded run.

    Args:
        spectra: Of its factors.
        own: The setting that it was recorded under; what is not suggested (period, start) is taken from it.

    Raises:
        FieldError: The factors are zero, so that nothing follows from them.
    """
    unit = _median(spectra.mean)
    fresh = fresh_damping(spectra.most)
    allowance = spectra.alpha * spectra.new_mass / (spectra.root * TAU)
    damped = spectra.quantile(DAMPED_SHARE)
    most = _rounded(max(allowance, damped, fresh))
    setting = own.changed({"optimizer": "foam", "tau": TAU, "epsilon": fresh, "epsilon_max": most})
    below = float(np.interp(most, spectra.quantiles, np.linspace(0, 1, len(spectra.quantiles))))
    reasons = (
        (
            "epsilon",
            _amount(fresh),
            f"float32 resolves 1.2e-7 of the largest eigenvalue, which is at most {_amount(spectra.most)} in nine of "
            f"ten recorded factors; eps0 lies {RESOLVED:.0f} times above that, so a fresh inverse root is no "
            "rounding",
        ),
        (
            "epsilon_max",
            _amount(most),
            f"a third of all recorded eigenvalues lie under {_amount(damped)}: damped with it, so many directions "
            f"are switched off. {_drift(spectra, allowance)} {100 * below:.0f} % of the eigenvalues lie under it",
        ),
        (
            "tau",
            f"{TAU:g}",
            "the paper's for ImageNet; it has no unit, so it needs no calibration. A smaller one raises eps sooner",
        ),
        (
            "unit",
            _amount(unit),
            "median of trace/n, the mean eigenvalue: as multiples of it eps0 and eps_max follow the gradients' scale",
        ),
    )
    ageing = tuple(
        {"step": float(step), "mean": mean, "epsilon": fresh_damping(largest), "epsilon_max": most * mean / unit}
        for step, mean, largest in zip(spectra.steps, spectra.mean, spectra.largest, strict=True)
    )
    relative = {"epsilon": fresh / unit, "epsilon_max": most / unit} if unit > 0 else {}
    return Suggestion(setting, relative, unit, reasons, ageing, allowance)


def fresh_damping(largest: float) -> float:
    """Suggest eps0 for factors of a largest eigenvalue, gradient^2: four times what float32 resolves of it."""
    return _rounded(RESOLVED * FLOAT32_EPSILON * largest)


def _rounded(value: float) -> float:
    """Two significant digits: more would claim what a median of a short run does not know."""
    return float(f"{value:.1e}") if math.isfinite(value) else value


def _drift(spectra: Spectra, allowance: float) -> str:
    """What drift asks of eps_max, in words."""
    if not allowance:
        return "No direction had less than eps0 at one check and more at the next, so drift asks for nothing more."
    return (
        f"Mass M = {_amount(spectra.new_mass)} that is new between two checks lifts eps to alpha M / (p tau) = "
        f"{_amount(allowance)}, with alpha = {number(spectra.alpha)} and p = {spectra.root}: an eps_max below that "
        "would decompose at about every check. The larger of the two is taken."
    )


def _amount(value: float) -> str:
    return f"{number(value)} {UNIT}"


def _median(values: Sequence[float]) -> float:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else 0.0


def scaled(relative: Mapping[str, float], unit: float) -> dict[str, float]:
    """A relative suggestion in the unit of another task: the values of its settings."""
    return {name: _rounded(value * unit) for name, value in relative.items()}
