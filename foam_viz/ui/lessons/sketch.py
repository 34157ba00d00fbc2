"""The sketch of a prediction: the learner draws where each run will end, and sees later where it did."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import mean
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from foam_viz.lessons import measured
from foam_viz.lessons.lesson import Lesson, Place, Sketch
from foam_viz.trace.numbers import number
from foam_viz.ui import session
from foam_viz.ui.board import assets


def drawn(lesson: Lesson) -> list[float] | None:
    """Return the losses that the reader has drawn, in any tab of the browser; None where nothing was drawn."""
    return session.current().browser.sketches.get(lesson.id)


def sketch(lesson: Lesson) -> None:
    """Draw what the reader draws on, where the lesson has a sketch; it is fixed once the reader has predicted."""
    asked, here = lesson.prediction.sketch, session.current().browser
    fixed = lesson.id in here.predictions
    if asked is None or (fixed and drawn(lesson) is None):
        return
    key = f"sketch-{lesson.id}"

    def keep() -> None:
        value = st.session_state[key].get("drawn")
        losses = checked(asked, len(_losses(lesson, asked)), value.get("losses") if isinstance(value, dict) else None)
        if losses is not None and lesson.id not in here.predictions:
            here.sketches[lesson.id] = losses

    if not fixed:
        st.markdown(
            "Drag each point, or move it with the arrow keys, to the loss at which you think that run ends. The first "
            "one is given."
        )
    _show(key, lesson, asked, fixed=fixed, on_drawn=keep)


def compared(lesson: Lesson) -> None:
    """Draw what was measured over what the reader had drawn, if anything."""
    asked, mine = lesson.prediction.sketch, drawn(lesson)
    if asked is None or mine is None:
        return
    found = [mean(losses) for losses in _losses(lesson, asked)]
    names = lesson.stages[asked.stage].labels()
    told = "; ".join(
        f"{name}: you drew {number(one)}, the runs gave {number(other)}"
        for name, one, other in list(zip(names, mine, found, strict=True))[1:]
    )
    st.markdown("**Your sketch, and what five seeds gave**")
    _show(f"sketch-{lesson.id}-found", lesson, asked, fixed=True, found=_losses(lesson, asked))
    st.caption(f"{told}.")


def checked(asked: Sketch, count: int, losses: object) -> list[float] | None:
    """Return the losses that a browser says were drawn; None where they are not a loss a lane, within the axis."""
    if not isinstance(losses, list) or len(losses) != count:
        return None
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in losses):
        return None
    return [float(one) for one in losses] if all(asked.low <= one <= asked.high for one in losses) else None


def _losses(lesson: Lesson, asked: Sketch) -> list[list[float]]:
    """Losses of every lane, a number a seed."""
    found = measured.results(lesson.id)
    lanes = range(len(lesson.stages[asked.stage].labels()))
    return [measured.values(found[Place(asked.stage, lane)], "loss") for lane in lanes]


def _show(
    key: str,
    lesson: Lesson,
    asked: Sketch,
    *,
    fixed: bool,
    found: list[list[float]] | None = None,
    on_drawn: Callable[[], None] = lambda: None,
) -> None:
    """Draw the component. What was measured goes to the browser with the answer and not before; the first is given."""
    given = mean(_losses(lesson, asked)[0])
    _component(assets.published())(
        key=key,
        data={
            "names": list(lesson.stages[asked.stage].labels()),
            "across": asked.across,
            "up": "Training loss, mean of the last 20 steps",
            "low": asked.low,
            "high": asked.high,
            "given": given,
            "losses": drawn(lesson),
            "fixed": fixed,
            "found": None if found is None else [[min(one), mean(one), max(one)] for one in found],
        },
        on_drawn_change=on_drawn,
    )


@lru_cache(maxsize=1)
def _component(published: assets.Published) -> Callable[..., Any]:
    """The component. Its inline script only loads the real one, because inline scripts travel with every update."""
    loader = f"""const sketch = import(new URL("{published.board}/sketch.js", document.baseURI).href);
export default async c => (await sketch).default(c);
"""
    return component("foam_viz.sketch", html='<div class="foam-sketch"></div>', js=loader, isolate_styles=False)
