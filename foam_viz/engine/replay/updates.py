"""What the parameters would feel of a stale inverse root, at the checks whose gradients were kept.

A stream keeps no momentum, so the gradient stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from foam_viz.analysis.replay_setting import Setting
from foam_viz.engine.replay.measuring import Measures
from foam_viz.engine.replay.recorded_factors import RecordedFactor
from foam_viz.engine.replay.recording import Recording
from foam_viz.engine.replay.tracks import Tracks
from foam_viz.optim import linalg, measures


class _Held(NamedTuple):
    """What is in force after a check."""

    check: int
    decomposed: int
    refreshed: int
    epsilon: float


def update_errors(
    recording: Recording, in_force: Sequence[Measures], parts: Sequence[Tracks], setting: Setting
) -> tuple[dict[str, Any], ...]:
    """Rows of step, parameter, error, grafted_error and cosine; parameters that are cut into blocks are left out.

    Args:
        recording: The recorded factors.
        in_force: One a stack: knows eigenvalues.
        parts: Of each stack: what the setting did at its checks, (T,).
        setting: The setting.
    """
    parameters: dict[str, dict[int, tuple[RecordedFactor, Measures, int, dict[int, _Held]]]] = {}
    for stack, known, track in zip(recording.stacks, in_force, parts, strict=True):
        for number, factor in enumerate(stack.factors):
            by_step = {
                step: _Held(k, int(track.decomposed[i]), int(track.refreshed[i]), float(track.epsilon[i]))
                for i, (k, step) in enumerate(enumerate(factor.steps), int(stack.starts[number]))
                if step in recording.gradients and track.made[i]
            }
            dims = parameters.setdefault(factor.info.parameter, {})
            dims[factor.info.dim if factor.info.block == 0 else -1] = (factor, known, number, by_step)
    found = []
    for step, gradients in sorted(recording.gradients.items()):
        for name, gradient in gradients.items():
            dims = parameters.get(name, {})
            shape = tuple(dims[d][0].info.size for d in sorted(dims)) if -1 not in dims else ()
            rows = [dims[d][3].get(step) for d in sorted(dims)]
            usable = [row for row in rows if row is not None and row.decomposed >= 0]
            if not shape or torch.Size(shape).numel() != gradient.size or len(usable) < len(rows):
                continue
            pairs = [_roots(*dims[d][:3], row, setting) for d, row in zip(sorted(dims), usable, strict=True)]
            momentum = torch.from_numpy(gradient.copy()).reshape(1, *shape).to(pairs[0][0].dtype)
            stale, fresh = ([pair[which].unsqueeze(0) for pair in pairs] for which in (0, 1))
            error = measures.update_error(momentum, stale, fresh)
            found.append({"step": step, "parameter": name} | {k: float(v) for k, v in error._asdict().items()})
    return tuple(found)


def _roots(factor: RecordedFactor, known: Measures, number: int, row: _Held, setting: Setting) -> tuple[Tensor, Tensor]:
    """X used after a check, and X fresh at eps0, each (n, n)."""
    used = known.eigenvalues(number, row.decomposed, row.refreshed, setting.rule)
    now = known.eigenvalues(number, row.check, row.check, setting.rule)
    stale = linalg.inverse_root(factor.basis[row.decomposed], used, row.epsilon, factor.root)
    return stale, linalg.inverse_root(
        factor.basis[row.check], now, setting.at(factor.steps[row.check]).policy.epsilon, factor.root
    )
