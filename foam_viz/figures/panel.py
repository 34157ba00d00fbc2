"""What a panel is: the traces it is given, what the reader chose, and what it hands back.

A panel is a pure function from traces to a drawing. It knows nothing of Streamlit, of the browser or of
where a trace came from, so live, recorded and imported runs draw alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from foam_viz.trace import Trace, TraceView

LossAxis = Literal["step", "optimizer_seconds", "decompositions"]


@dataclass(frozen=True)
class Lane:
    """One run on the page, at the moment when the lane was made: it is drawn while it grows.

    Attributes:
        trace: everything recorded of the run by then; made of a trace or a view of it.
        label: the name the reader sees ("FOAM", "Shampoo f = 50").
        position: 0 to 5; fixes colour, dash and marker on every panel.
    """

    trace: Trace | TraceView
    label: str
    position: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "trace", self.trace.view())


@dataclass(frozen=True)
class View:
    """What the reader chose to look at.

    Attributes:
        factor: index into ``manifest.factors`` of the factor followed by the single-factor panels; None
            follows nothing.
        lane: ``Lane.position`` of the lane whose factor is followed ("the focused lane").
        loss_x: what the loss is drawn against.
        loss_log: logarithmic loss axis.
        max_points: points at most in one drawn curve.
    """

    factor: int | None = None
    lane: int = 0
    loss_x: LossAxis = "step"
    loss_log: bool = True
    max_points: int = 400


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
        requires: what the panel lives on; where no run has it, nor will have it, there is no card. None: always a card.
    """

    id: str
    title: str
    help: str
    draw: Callable[[Sequence[Lane], View], Drawing]
    columns: int
    height: int
    requires: Need | None = None

    def has_place(self, lanes: Sequence[Lane]) -> bool:
        """Whether the panel has a card on a page of these runs; with no run yet it has."""
        return not lanes or self.requires is None or any(self.requires.serves(lane) for lane in lanes)


def without_place(panels: Sequence[PanelSpec], lanes: Sequence[Lane]) -> str:
    """Which panels have no card and what each would need, in a sentence; empty where all have one."""
    lacking: dict[str, list[str]] = {}
    for spec in panels:
        if not spec.has_place(lanes):
            lacking.setdefault(spec.requires.words, []).append(spec.title)
    if not lacking:
        return ""
    needs = "; ".join(f"{_list(titles)} (needs {words})" for words, titles in lacking.items())
    return f"Not shown, as nothing here has the data: {needs}."


def _list(titles: list[str]) -> str:
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
