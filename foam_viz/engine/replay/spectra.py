"""The spectra of a recording, and the drift between its checks: what calibration reads."""

from __future__ import annotations

import math

import numpy as np
import torch

from foam_viz.analysis.calibrate import Spectra, fresh_damping
from foam_viz.engine.replay.recorded_factors import RecordedFactor
from foam_viz.engine.replay.recording import Recording

_QUANTILES = np.linspace(0, 1, 21)


def read_spectra(recording: Recording) -> Spectra:
    """Medians over the factors of a decomposed recording.

    alpha is taken at the eps0 that these spectra suggest, and directions with less than it count as new: what the run
    was damped with, its suggestion does not depend on.

    Args:
        recording: The recording.
    """
    largest: dict[int, list[float]] = {}
    mean: dict[int, list[float]] = {}
    values, masses, alphas = [], [], []
    for factor in recording.factors:
        sizes = zip(factor.steps, factor.traces, factor.corrections, factor.failed, strict=True)
        for k, (step, trace, correction, failed) in enumerate(sizes):
            if not failed:
                largest.setdefault(step, []).append(float(factor.eigenvalues[k, -1]))
                mean.setdefault(step, []).append(trace / correction / factor.info.size)
    most = float(np.quantile([v for mine in largest.values() for v in mine], 0.9)) if largest else 0.0
    epsilon = fresh_damping(most)
    for factor in recording.factors:
        good = [k for k, failed in enumerate(factor.failed) if not failed]
        spectrum = factor.eigenvalues[good].double()
        values.append(spectrum.numpy().ravel())
        ratios = (factor.floored[good].double() + epsilon).pow(-1.0 / factor.root)
        alphas += (ratios.amax(-1) / torch.linalg.vector_norm(ratios, dim=-1)).tolist()
        found = [_new_mass(factor, s, k, epsilon) for s, k in zip(good, good[1:], strict=False)]
        masses += [mass for mass in found if mass is not None]
    every = np.concatenate(values) if values else np.zeros(1)
    positive = every[every > 0]
    steps = sorted(mean)
    return Spectra(
        steps=steps,
        largest=[float(np.median(largest[step])) for step in steps],
        mean=[float(np.median(mean[step])) for step in steps],
        quantiles=np.quantile(np.maximum(every, 0), _QUANTILES).tolist(),
        smallest=float(positive.min()) if len(positive) else 0.0,
        most=most,
        new_mass=float(np.median(masses)) if masses else 0.0,
        alpha=float(np.median(alphas)) if alphas else math.nan,
        root=recording.factors[0].root,
    )


def _new_mass(factor: RecordedFactor, s: int, k: int, epsilon: float) -> float | None:
    """The largest eigenvalue of A_k in the directions in which A_s had less than eps0; None where there are none."""
    empty = int((factor.eigenvalues[s] < epsilon).sum())
    if not empty:
        return None
    directions = factor.basis[s][:, :empty]
    matrix = factor.statistics[k] / factor.corrections[k]
    return max(float(torch.linalg.eigvalsh(directions.mT @ matrix @ directions)[-1]), 0.0)
