"""The board: every panel of a page in one browser component that subscribes to the feed by itself.

`st.plotly_chart` makes a new element for each change of its data: it flickers and forgets the zoom. The
board is one `components.v2` component under a stable key whose script calls `Plotly.react`. Streamlit tells
it what to look at and nothing more; what there is to see comes through the feed (see docs/feed.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from time import time_ns
from typing import Any, Literal, TypeGuard

import streamlit as st
from streamlit.components.v2 import component

from foam_viz.figures.catalogue import PRESETS
from foam_viz.figures.look import Look
from foam_viz.optim.fields import FieldError
from foam_viz.ui.board import assets

LaneState = Literal[
    "waiting",
    "running",
    "paused",
    "finished",
    "diverged",
    "interrupted",
    "recorded",
    "exact",
    "open loop",
    "trained",
    "mixed",
]

_LONGEST_POINT = 2000
"""Characters of what a point says of itself."""

MOST_PANELS = 64
"""Cards that a reader can choose, at most."""


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


@dataclass(frozen=True)
class Shortcut:
    """A key that presses a button of the page.

    Attributes:
        key: As the browser names it: "s", " " for the space bar.
        words: What it does.
        buttons: Keys of Streamlit's buttons; the first that can be pressed is.
    """

    key: str
    words: str
    buttons: tuple[str, ...]


@dataclass
class Looking:
    """What the board of a page looks at, as far as this side knows.

    Attributes:
        source: Id of the source.
        look: Fields of the look that the page chooses or was told of.
        serial: Rises when the page chooses another one; the browser then takes the page's. It goes by the clock, so
            that it rises over a restart of the server, too.
    """

    source: str = ""
    look: dict[str, Any] = field(default_factory=dict)
    serial: int = 0

    def choose(self, source: str, look: Mapping[str, Any]) -> None:
        """Take over what the page wants."""
        if source == self.source and {**self.look, **look} == self.look:
            return
        self.source, self.look = source, dict(look)
        self.serial = max(self.serial + 1, time_ns() // 1_000_000)

    def told(self, **look: Any) -> None:
        """Note what the browser looks at already."""
        self.look.update(look)


def board(
    *,
    key: str,
    source: str,
    look: Mapping[str, Any],
    outline: str = "",
    session: Mapping[str, str | None] | None = None,
    time: bool = True,
    plays: bool = False,
    goes_on: bool = False,
    panels: Sequence[str] | None = None,
    shortcuts: Sequence[Shortcut] = (),
    name: str = "",
    on_follow: Callable[[int | None, int], None] | None = None,
    on_look: Callable[[dict[str, Any]], None] | None = None,
    on_panels: Callable[[tuple[str, ...]], None] | None = None,
    on_moment: Callable[[int | None], None] | None = None,
    on_pick: Callable[[str], None] | None = None,
    on_control: Callable[[str, str], None] | None = None,
) -> None:
    """Draw the board, or tell it that the page looks at something else.

    Args:
        key: Stable key of the component; one board under it a page.
        source: Id of what is looked at.
        look: The fields of the look that the page's controls choose. Those it leaves out are the browser's: where
            ``at`` is not among them, the time cursor moves without the page.
        outline: What the page was drawn for; when the feed says that it is another one, the page runs again.
        session: `{"view_id": ..., "control_key": ... or None}`. A control key is remembered in the browser
            tab; when it is None and the tab remembers one for this view, `on_control` is called with it,
            once.
        time: Whether there is a time cursor.
        plays: Play what was recorded as soon as the page is open, unless the reader wants less motion.
        goes_on: Another source goes on from the one before: what is looked at, and whether it plays, stays.
        panels: Ids of the cards that are shown, or the name of a preset alone; empty for all. None where the page
            offers no choice.
        shortcuts: Keys that press a button of the page.
        name: Of what is looked at, for the names of files that are taken away.
        on_look: Called with the fields of the look that the reader chose on a card.
        on_panels: Called with the ids of the cards that the reader chose, or the name of a preset.
        on_follow: Called with (factor index, lane position) when a factor is clicked, and with (None, lane
            position) when a run in the table is.
        on_moment: Called with the step shown, None for the newest, once the time cursor rests.
        on_pick: Called with what a point says of itself when one is clicked in a figure whose ``layout.meta`` has
            ``pick``. It comes from a browser: whoever takes it checks it.
        on_control: Called with (view id, control key); see `session`.

    Raises:
        OSError: The assets cannot be written into the static folder.
    """
    looking: Looking = st.session_state.setdefault(f"{key} looking", Looking())
    looking.choose(source, look)

    def follow() -> None:
        value = _value(key, "follow")
        factor, lane = value.get("factor"), value.get("lane")
        if on_follow and _whole(lane) and (factor is None or _whole(factor)):
            looking.told(lane=lane, **({} if factor is None else {"factor": factor}))
            on_follow(factor, lane)

    def moment() -> None:
        at = _value(key, "moment").get("at")
        if on_moment and (at is None or _whole(at)):
            looking.told(at=at)
            on_moment(at)

    def pick() -> None:
        told = _value(key, "pick").get("point")
        if on_pick and isinstance(told, str) and 0 < len(told) <= _LONGEST_POINT:
            on_pick(told)

    def look_chosen() -> None:
        given = _value(key, "look")
        try:
            chosen = {name: getattr(Look.of(given), name) for name in given}
        except FieldError:  # no board of ours says so
            return
        looking.told(**chosen)
        if on_look:
            on_look(chosen)

    def panels_chosen() -> None:
        names = _value(key, "panels").get("panels")
        if on_panels and isinstance(names, list) and all(isinstance(name, str) for name in names):
            on_panels(tuple(names)[:MOST_PANELS])

    def control() -> None:
        value = _value(key, "control")
        view_id, control_key = value.get("view_id"), value.get("control_key")
        if on_control and _is_key(view_id) and _is_key(control_key):
            on_control(view_id, control_key)

    tells = {"follow": on_follow, "moment": on_moment, "look": on_look, "panels": on_panels, "pick": on_pick}
    _component(assets.published())(
        key=key,
        data={
            "feed": "feed",
            "source": looking.source,
            "look": looking.look,
            "look_serial": looking.serial,
            "outline": outline,
            "session": dict(session) if session else None,
            "time": time,
            "plays": plays,
            "goes_on": goes_on,
            "panels": None if panels is None else list(panels),
            "presets": [[name, *preset] for name, preset in PRESETS.items()] if panels is not None else [],
            "shortcuts": [asdict(shortcut) for shortcut in shortcuts],
            "name": name,
            "tells": [name for name, wanted in tells.items() if wanted],
        },
        on_follow_change=follow,
        on_moment_change=moment,
        on_look_change=look_chosen,
        on_panels_change=panels_chosen,
        on_pick_change=pick,
        on_control_change=control,
        on_outline_change=lambda: None,  # that the page runs again is all
    )


def _value(key: str, event: str) -> dict:
    """What the browser sent with an event; an empty dict if it is not the object it should be."""
    value = st.session_state[key].get(event)
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_key(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= 256


@lru_cache(maxsize=1)
def _component(published: assets.Published) -> Callable[..., Any]:
    """The component. Its inline script only loads the real one, because inline scripts travel with every update."""
    loader = f"""const at = path => new URL(path, document.baseURI).href;
const board = import(at("{published.board}/board.js"));
export default async c => (await board).default(c, at("{published.board}/board.css"),
at("{published.plotly}"));
"""  # more than one line: Streamlit takes a single line with a slash for the name of a file
    return component("foam_viz.board", html='<div class="foam-board"></div>', js=loader, isolate_styles=False)
