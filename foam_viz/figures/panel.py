"""What a panel is: an entry of a catalogue that turns a scene into a drawing.

A panel is a pure function of its scene. It knows nothing of Streamlit, of the browser or of
where a trace came from, so live, recorded and imported runs draw alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.trace import TraceView


@dataclass(frozen=True)
class Drawing:
    """A panel, drawn.

    Attributes:
        figure: ``{"data": [...], "layout": {...}}`` of plain values and base64 typed arrays, without a template, in the
            colours of the light palette; None where there is nothing to plot.
        reading: one line that says what the panel shows now, in words and numbers.
        moment: the step, or the steps, that the numbers belong to: "snapshot of step 1,390; last check 1,450".
        empty: what will appear here and what makes it appear; set when there is neither a figure nor text.
        title: takes the place of the panel's own title where what is drawn is something else; empty for none.
        text: rows ``(label, value, explanation)`` of a panel that speaks instead of plotting; plain text.
    """

    figure: dict | None = None
    reading: str = ""
    moment: str = ""
    empty: str = ""
    text: tuple[tuple[str, str, str], ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Need:
    """Something of a trace that a panel lives on.

    Attributes:
        words: what it is, in plural, as the reader sees it: "spectra of factors".
        met: whether a run has it.
        promised: whether a run that is made here will have it, once it has made the steps; nobody else promises.
    """

    words: str
    met: Callable[[TraceView], bool]
    promised: Callable[[TraceView], bool] = lambda trace: False

    def serves(self, lane: Lane) -> bool:
        """Whether a run has this or will have it."""
        manifest = lane.trace.manifest
        alive = manifest.format == "foam_viz" and manifest.status in ("running", "paused")
        return self.met(lane.trace) or (alive and self.promised(lane.trace))


@dataclass(frozen=True)
class PanelSpec:
    """An entry of the catalogue of panels.

    Attributes:
        id: stable name, used in URLs, file names and tests.
        title: a noun, as the reader sees it.
        help: how to read the panel, in a line or two.
        draw: the panel itself; pure.
        columns: width in a grid of 12.
        height: height of the card in CSS pixels; it never changes while the page lives.
        reads: fields of the look that the drawing depends on, besides ``at``; with the others it is the same.
        requires: what the panel lives on; where no run has it, nor will have it, there is no card. None: always a card.
        over_time: whether its horizontal axis is time. Such a panel shows the moment on the axes of the whole run, so
            that nothing jumps while the time cursor moves; its drawing depends on the newest step, too.
        choices: names of fields of the look that the card itself offers: choices and switches.
        least: how many runs there must be at least.
        table: the table of a trace that the panel is drawn from: its rows can be taken away whole.
    """

    id: str
    title: str
    help: str
    draw: Callable[[Scene], Drawing]
    columns: int
    height: int
    reads: frozenset[str]
    requires: Need | None = None
    over_time: bool = False
    choices: tuple[str, ...] = ()
    least: int = 1
    table: str = "steps"

    def key(self, look: Look) -> Look:
        """The look without what the drawing does not depend on: readers whose keys are equal see the same drawing."""
        return look.only(self.reads | {"at"})

    def has_place(self, lanes: Sequence[Lane]) -> bool:
        """Whether the panel has a card on a page of these runs; with no run yet it has."""
        if lanes and len(lanes) < self.least:
            return False
        return not lanes or self.requires is None or any(self.requires.serves(lane) for lane in lanes)


def without_place(panels: Sequence[PanelSpec], lanes: Sequence[Lane]) -> str:
    """Which panels have no card and what each would need, in a sentence; empty where all have one."""
    lacking: dict[str, list[str]] = {}
    for spec in panels:
        if spec.requires is not None and not spec.has_place(lanes) and len(lanes) >= spec.least:
            lacking.setdefault(spec.requires.words, []).append(spec.title)
    if not lacking:
        return ""
    needs = "; ".join(f"{_list(titles)} (needs {words})" for words, titles in lacking.items())
    return f"Not shown, as nothing here has the data: {needs}."


def _list(titles: list[str]) -> str:
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
