"""What the parameters would feel: the error of the update, before grafting and after, where gradients were kept."""

from __future__ import annotations

import numpy as np

from foam_viz.analysis.replay import Replay
from foam_viz.analysis.study import Study
from foam_viz.figures import theme
from foam_viz.figures.panel import Drawing
from foam_viz.figures.scene import Scene

_ERROR = (
    "‖d stale − d fresh‖ / ‖d fresh‖; the gradient stands for the momentum. After grafting both updates have one "
    "length, so that a change of scale is gone."
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
    own = study.own_updates if study.own_updates is not None and study.own_updates.updates else None
    # A card of words has a headline and a sentence; only the rows after them are labelled.
    sentence = f"Mean relative error of the update, over {len(what_if.updates):,} gradients"
    recorded = f"; under the recorded setting {_both(own)}" if own is not None else ""
    cosine = theme.number(_mean(what_if, "cosine"))
    beside = f"; recorded {theme.number(_mean(own, 'cosine'))}" if own is not None else ""
    worst = max(what_if.updates, key=lambda row: row["error"])
    place = f"{worst['parameter']}, step {worst['step']:,}: {theme.number(worst['error'])}"
    rows = [
        ("what if", _both(what_if), _ERROR),
        ("", f"{sentence}{recorded}.", _ERROR),
        ("cosine, mean", f"{cosine}{beside}", "Of the angle between both updates; 1 where they agree."),
        ("largest, before grafting", place, "The parameter and step whose update the old basis changes most."),
    ]
    return Drawing(
        text=tuple(rows),
        reading="what if, against a fresh basis at ε₀" + (" (open loop)" if what_if.open_loop else ""),
        moment=f"steps {steps[0]:,} to {steps[-1]:,}",
    )


def _both(replay: Replay) -> str:
    return (
        f"{theme.number(_mean(replay, 'error'))} before grafting, {theme.number(_mean(replay, 'grafted_error'))} after"
    )


def _mean(replay: Replay, name: str) -> float | None:
    values = np.array([row[name] for row in replay.updates], float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
