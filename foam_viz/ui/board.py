"""The board: every panel of a page in one browser component that updates without re-mounting.

`st.plotly_chart` makes a new element for each change of its data: it flickers and forgets the zoom. The
board is one `components.v2` component under a stable key whose script calls `Plotly.react`. It is sent what
changed since the last time, as deflated JSON; the browser asks for everything again when it finds that it
missed something.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from typing import Any, Literal

import orjson
import streamlit as st

from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.ui import assets
from foam_viz.ui.isolation import isolated

_LEVEL = 6
"""Of deflation, from 1 to 9: a full board of a long run stays under its bytes."""

LaneState = Literal["waiting", "running", "paused", "finished", "diverged", "interrupted"]


@dataclass(frozen=True)
class Panel:
    """One card: what it is and what it shows now."""

    spec: PanelSpec
    drawing: Drawing


@dataclass(frozen=True)
class LaneChip:
    """One row of the table of runs.

    Attributes:
        position: 0 to 5; colour and dash of the swatch.
        label: name of the run.
        cells: `(label, text, help)` in the order of the columns, the most important first (a phone shows the
            first three), e.g. `("loss", "0.301", "mean of the last 20 steps")`.
        state: shown as a word at the end of the row.
    """

    position: int
    label: str
    cells: Sequence[tuple[str, str, str]]
    state: LaneState = "waiting"


@dataclass
class Sent:
    """Which revision of each panel the browser of one session was sent last."""

    revisions: dict[str, str] = field(default_factory=dict)


def board(
    *,
    key: str,
    panels: Sequence[Panel],
    lanes: Sequence[LaneChip] = (),
    status: Sequence[tuple[str, str, str]] = (),
    session: Mapping[str, str | None] | None = None,
    everything: bool = False,
    on_follow: Callable[[int | None, int], None] | None = None,
    on_control: Callable[[str, str], None] | None = None,
    on_range: Callable[[str, tuple[float, float] | None], None] | None = None,
    on_resend: Callable[[], None] | None = None,
    on_hidden: Callable[[bool], None] | None = None,
    focus: int | None = None,
) -> None:
    """Draws the board, or updates it in place.

    Args:
        key: stable key of the component; one board under it a page.
        panels: the cards in reading order. A panel whose drawing did not change since the last send is not
            sent.
        lanes: the table of runs, one row a lane; all rows have the same columns.
        status: `(label, text, help)` shown above the table; an empty label shows the text alone.
        session: `{"view_id": ..., "control_key": ... or None}`. A control key is remembered in the browser
            tab; when it is None and the tab remembers one for this view, `on_control` is called with it,
            once.
        everything: send every panel whatever was sent before; set it on full runs of the page.
        on_follow: called with (factor index, lane position) when a factor is clicked, and with (None, lane
            position) when a run in the table is. Without it nothing can be clicked.
        on_control: called with (view id, control key); see `session`.
        on_range: called with (panel id, part of the horizontal axis looked at, None for all of it) when the
            reader zooms a figure whose ``layout.meta`` says ``detail``.
        on_resend: called after the browser asked for what it lacks; the board sends everything then by
            itself.
        on_hidden: called with whether the page is out of sight (another tab, a minimized window), when that changes.
        focus: position of the lane whose factor is followed, marked in the table.

    Raises:
        OSError: the assets cannot be written into the static folder.
    """
    memory: Sent = st.session_state.setdefault(f"{key} sent", Sent())
    if everything:
        memory.revisions.clear()
    head = {
        "lanes": [{"position": c.position, "label": c.label, "cells": c.cells, "state": c.state} for c in lanes],
        "status": status,
        "session": dict(session) if session else None,
        "follows": on_follow is not None,
        "focus": focus,
    }

    def resend() -> None:
        memory.revisions.clear()
        if on_resend:
            on_resend()

    def follow() -> None:
        value = _value(key, "follow")
        if on_follow and _whole(value.get("lane")) and (value.get("factor") is None or _whole(value["factor"])):
            on_follow(value["factor"], value["lane"])

    def control() -> None:
        value = _value(key, "control")
        texts = [value.get(name) for name in ("view_id", "control_key")]
        if on_control and all(isinstance(text, str) and 0 < len(text) <= 256 for text in texts):
            on_control(*texts)

    def look() -> None:
        value = _value(key, "range")
        if on_range and isinstance(value.get("panel"), str) and (window := _window(value.get("window"))) is not False:
            on_range(value["panel"], window)

    def hide() -> None:
        value = _value(key, "hidden")
        if on_hidden and isinstance(value.get("hidden"), bool):
            on_hidden(value["hidden"])

    _component(assets.published())(
        key=key,
        data=payload(panels, head, memory),
        on_follow_change=follow,
        on_control_change=control,
        on_range_change=look,
        on_resend_change=resend,
        on_hidden_change=hide,
    )


def payload(panels: Sequence[Panel], head: Mapping[str, Any], sent: Sent) -> bytes:
    """What the browser is sent: deflated JSON, remembering in `sent` what it contains.

    Each panel is `{"id", "revision"}`, and unless that very revision was sent before also its words and
    figure. No panel depends on an earlier update, because under load the browser skips some.
    """
    parts = [_panel(panel, sent) for panel in panels]
    for gone in sent.revisions.keys() - {panel.spec.id for panel in panels}:
        del sent.revisions[gone]
    text = _json({**head, "panels": None}).removesuffix(b"null}")
    return zlib.compress(b"%b[%b]}" % (text, b",".join(parts)), _LEVEL)


def _panel(panel: Panel, sent: Sent) -> bytes:
    spec = panel.spec
    body = isolated(
        f"The panel {spec.title}", lambda: _body(spec, panel.drawing), lambda line: _body(spec, Drawing(empty=line))
    )
    revision = blake2b(body, digest_size=8).hexdigest()
    head = _json({"id": spec.id, "revision": revision})
    if sent.revisions.get(spec.id) == revision:
        return head
    sent.revisions[spec.id] = revision
    return head[:-1] + b"," + body[1:]


def _body(spec: PanelSpec, drawing: Drawing) -> bytes:
    return _json(
        {
            "title": drawing.title or spec.title,
            "help": spec.help,
            "columns": spec.columns,
            "height": spec.height,
            "reading": drawing.reading,
            "moment": drawing.moment,
            "empty": drawing.empty,
            "text": drawing.text,
            "figure": drawing.figure,
        }
    )


def _json(value: Any) -> bytes:
    """Plain values and numpy scalars as JSON; NaN and infinity, which JSON lacks, as null: a gap in a figure."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _value(key: str, event: str) -> dict:
    """What the browser sent with an event; an empty dict if it is not the object it should be."""
    value = st.session_state[key].get(event)
    return value if isinstance(value, dict) else {}


def _window(value: object) -> tuple[float, float] | None | Literal[False]:
    """Two ascending finite numbers, None for none; False for what is neither."""
    if value is None:
        return None
    numbers = [
        float(item) for item in value if isinstance(item, int | float) and not isinstance(item, bool) and isfinite(item)
    ] if isinstance(value, list) else []  # fmt: skip
    return (numbers[0], numbers[1]) if len(numbers) == 2 and numbers[0] < numbers[1] else False


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@lru_cache(maxsize=1)
def _component(published: assets.Published) -> Callable[..., Any]:
    """The component. Its inline script only loads the real one, because inline scripts travel with every update."""
    loader = f"""const at = path => new URL(path, document.baseURI).href;
const board = import(at("{published.board}/board.js"));
export default async c => (await board).default(c, at("{published.board}/board.css"),
at("{published.plotly}"));
"""  # more than one line: Streamlit takes a single line with a slash for the name of a file
    return st.components.v2.component(
        "foam_viz.board", html='<div class="foam-board"></div>', js=loader, isolate_styles=False
    )
