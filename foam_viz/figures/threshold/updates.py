"""What the parameters would feel: the error of the update, before grafting and after, where gradients were kept."""

from __future__ import annotations

import numpy as np

from foam_viz.analysis.replay import Replay
from foam_viz.analysis.study import Study
from foam_viz.figures import theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene

_ROWS = (
    ("error", "before grafting", "‖d stale − d fresh‖ / ‖d fresh‖; the gradient stands for the momentum."),
    ("grafted_error", "after grafting", "The same once both updates have one length: a change of scale is gone."),
    ("cosine", "cosine", "Of the angle between both updates; 1 where they agree."),
)


def draw(scene: Scene, study: Study) -> Drawing:
    """Means over the parameters and steps whose gradients were kept, recorded and what if."""
    what_if = study.updates
    moved = study.what_if is not None and what_if is not None and what_if.setting != study.what_if.setting
    if what_if is None or moved or not what_if.updates:
        return Drawing(
            empty="The error of the updates appears here once the sliders rest, where the stream kept gradients."
        )
    steps = sorted({row["step"] for row in what_if.updates})
    own = study.own_updates
    rows = []
    for name, words, explanation in _ROWS:
        told = theme.number(_mean(what_if, name))
        before = f"; recorded {theme.number(_mean(own, name))}" if own is not None and own.updates else ""
        rows.append((f"{words}, mean", f"{told}{before}", explanation))
    worst = max(what_if.updates, key=lambda row: row["error"])
    place = f"{worst['parameter']}, step {worst['step']:,}: {theme.number(worst['error'])}"
    rows.append(("largest, before grafting", place, "The parameter and step whose update the old basis changes most."))
    return Drawing(
        text=tuple(rows),
        reading=f"of {len(what_if.updates):,} gradients, against a fresh basis at ε₀",
        moment=f"steps {steps[0]:,} to {steps[-1]:,}",
    )


def _mean(replay: Replay, name: str) -> float | None:
    values = np.array([row[name] for row in replay.updates], float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
