"""The page of logs in one tab: the runs that are open, and what is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.figures.look import LossAxis, Measure
from foam_viz.files import SAMPLE_RUNS
from foam_viz.optim.fields import FieldError
from foam_viz.trace import Trace
from foam_viz.trace.disk import bundle
from foam_viz.ui import address
from foam_viz.ui.server import hub
from foam_viz.ui.session.open_logs import OpenLogs, Source

if TYPE_CHECKING:
    from foam_viz.ui.session import Session
    from foam_viz.ui.session.browser import Browser

OPENS_WITH = (
    "digits-autoencoder-foam",
    "digits-autoencoder-shampoo",
    "digits-autoencoder-shampoo-f200",
    "digits-autoencoder-soap",
    "digits-autoencoder-adamw",
)


PAGE = "logs"
_KEPT_ELSEWHERE = "the names of runs: there are too many for a link, so the browser that made it keeps them"
_NOT_OPEN = "a run that is open in this browser; uploaded files are not part of a link"
_WIDGETS = (
    "logs.x",
    "logs.log_",
    "logs.smoothing",
    "logs.scale",
    "logs.raw",
    "logs.seeds",
    "logs.target",
    "logs.at",
    "logs.tab",
    "logs.samples",
    "logs.loss",
)


@dataclass(frozen=True, eq=False)
class Run:
    """One run on the page.

    Attributes:
        key: Stable while the run is open.
        label: Unique name to show; text of a stranger.
        trace: What is known of it; what reads more than one thing of a live run takes ``trace.view()`` first.
        origin: Where it comes from, in a word or two.
        source: What it was read from; None for samples and live runs.
        live: True while it still trains.
    """

    key: str
    label: str
    trace: Trace
    origin: str
    source: Source | None = None
    live: bool = False


@lru_cache(maxsize=1)
def sample_names() -> tuple[str, ...]:
    """The recorded samples of this project."""
    return tuple(sorted(path.stem for path in SAMPLE_RUNS.glob("*.zip")))


@lru_cache(maxsize=64)
def sample(name: str) -> Trace:
    """A recorded sample, read once a server: it is ours, so no worker is needed."""
    return bundle.read(SAMPLE_RUNS / f"{name}.zip")


@dataclass
class Logs:
    """What one tab looks at on the page of logs.

    Attributes:
        session: Of the tab.
        view: What the page looks at: values of :data:`foam_viz.ui.address.LOGS` by name.
        samples: Recorded samples that are open.
        rejected: Values of the link that were refused.
        chosen: Keys of the runs compared; None until the reader chooses: all, up to a dozen.
        run: Key of the run inspected.
        factor: Factor followed.
        moments: By run, the step looked at; a run that is not there is looked at its end.
        with_live: Show the live run beside the logs.
        watched: View id of the live run of the link; None for that of this tab's live lab.
        baseline: Key of the run that speed-ups are against.
        front: Key of the run that is brought forward.
        loss_axis, loss_log: How the loss of the run inspected is drawn.
        measure: What the factor map of it shows.
        cards: Cards of it that are shown; all where none is named.
        notice: What the last attempt to open something could not do.
        pattern: What was typed to choose runs by name.
        pattern_problem: Why the pattern typed last chose no run.
        followed: The link that was opened last.
        asked: Keys of runs that it names and that were not found yet.
        awaited: Sources that this tab brought in and that were not read yet.
    """

    session: Session
    view: dict[str, Any]
    samples: list[str]
    rejected: list[FieldError] = field(default_factory=list)
    chosen: list[str] | None = None
    run: str = ""
    factor: int = 0
    moments: dict[str, int] = field(default_factory=dict)
    with_live: bool = False
    watched: str | None = None
    baseline: str | None = None
    front: str | None = None
    loss_axis: LossAxis = "step"
    loss_log: bool = True
    measure: Measure = "decides"
    cards: tuple[str, ...] = ()
    notice: str = ""
    pattern: str = ""
    pattern_problem: str = ""
    followed: address.Query = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    _positions: dict[str, int] = field(default_factory=dict)

    # --- what the browser has open

    @property
    def browser(self) -> Browser:
        """Whose tab it is."""
        return self.session.browser

    @property
    def open(self) -> OpenLogs:
        """What the browser has open, in all of its tabs."""
        return self.session.browser.logs

    @property
    def sources(self) -> list[Source]:
        """What was brought in."""
        return self.open.sources

    def show(self, source: Source) -> None:
        """Look at a source as soon as it was read."""
        self.awaited.add(source.id)
        self.notice = ""
        self.view["tab"] = st.session_state["logs.tab"] = "runs"

    def remove(self, source: Source) -> None:
        """Forget a source, its runs and its files."""
        self.notice = ""
        self.open.remove(source)
        self._leave(f"{source.id}/")

    def forget(self) -> None:
        """Delete the files of this browser and all that it said about them."""
        self.notice = ""
        for source in list(self.sources):
            self.remove(source)
        self.browser.forget()

    def _leave(self, prefix: str) -> None:
        """Look no more at runs whose keys begin so."""
        if self.run.startswith(prefix):
            self.run, self.factor = "", 0
        if self.chosen is not None:
            self.chosen = [key for key in self.chosen if not key.startswith(prefix)] or None
        for key in [key for key in self.moments if key.startswith(prefix)]:
            del self.moments[key]

    def collect(self) -> None:
        """Take over readings that have ended, and look at the first run of what this tab brought in."""
        self.open.collect()
        for source in self.sources:
            if source.id in self.awaited and source.reading is not None:
                self.awaited.discard(source.id)
                if source.found.traces:
                    self.run = f"{source.id}/{source.found.traces[0].manifest.run_id}"
                    self.factor = 0

    def look(self) -> None:
        """Remember that this visitor is here, and which reading is looked at."""
        self.open.use(None)
        for source in self.sources:
            if self.run.startswith(f"{source.id}/"):
                self.open.use(source)

    # --- runs

    def runs(self) -> list[Run]:
        """Every run on the page, with names that tell them apart: what the user brought first, then live, samples."""
        found = [*self._imported(), *self._live(), *self._samples()]
        seen: dict[str, int] = {}
        named = []
        for run in found:
            count = seen[run.label] = seen.get(run.label, 0) + 1
            label = run.label if count == 1 else f"{run.label} ({run.origin} {count})"
            named.append(Run(run.key, label, run.trace, run.origin, run.source, run.live))
        return named

    def _imported(self) -> Iterator[Run]:
        for source in self.sources:
            for trace in source.found.traces:
                manifest = trace.manifest
                yield Run(f"{source.id}/{manifest.run_id}", manifest.name or "unnamed", trace, source.label, source)

    def _live(self) -> Iterator[Run]:
        run = self.live_run() if self.with_live else None
        if run is None:
            return
        for position, (lane, trace) in enumerate(zip(run.experiment.lanes, run.traces, strict=False)):
            yield Run(f"live/{run.view_id}/{position}", f"live: {lane.label()}", trace, "live lab", live=run.running)

    def live_run(self) -> LabRun | None:
        """The live run of the link, or else of this tab's live lab; None where there is none."""
        if self.watched is not None:
            return hub().find(self.watched, session=self.session.tab)
        return self.session.lab.run() if self.session.lab else None

    @property
    def training(self) -> bool:
        """Whether the live run that is shown trains now."""
        run = self.live_run() if self.with_live else None
        return run is not None and run.running

    def replaced(self, runs: Iterable[Run]) -> bool:
        """Whether a live run began anew or was opened again meanwhile, so that what is shown of it no longer grows."""
        now = {run.key: run.trace for run in self._live()}
        return any(run.live and now.get(run.key) is not run.trace for run in runs)

    def _samples(self) -> Iterator[Run]:
        for name in self.samples:
            trace = sample(name)
            yield Run(f"sample/{name}", trace.manifest.name or name, trace, "recorded sample")

    def positions(self, keys: Sequence[str]) -> list[int]:
        """Positions that fix how runs look: each keeps its own while it is shown, a new one takes the lowest free."""
        for gone in self._positions.keys() - set(keys):
            del self._positions[gone]
        for key in keys:
            if key not in self._positions:
                taken = set(self._positions.values())
                self._positions[key] = next(position for position in range(len(taken) + 1) if position not in taken)
        return [self._positions[key] for key in keys]

    # --- the link

    @classmethod
    def opened(cls, session: Session) -> Logs:
        """Return what the link asks for; an address without one is where this browser left off."""
        made = cls(session, address.defaults(PAGE), [])
        made.follow(address.shown())
        return made

    def recognised(self) -> None:
        """The browser is known now: the link may name what it has open, and what it left off at is its own."""
        if address.shown() == self.followed:
            self.follow(self.followed)

    def follow(self, query: Mapping[str, Sequence[str]]) -> None:
        """Look at what a link asks for."""
        self.followed = {key: list(texts) for key, texts in query.items()}
        left = self.browser.left.get(PAGE, {})
        query = {**query} or {**left}
        self.rejected = []
        for key in [key for key, texts in query.items() if list(texts) == [address.KEPT]]:
            del query[key]
            if key in left:
                query[key] = left[key]
            else:
                remedy = "choose them again" if self.session.known else ""
                self.rejected.append(FieldError(key, address.KEPT, _KEPT_ELSEWHERE, remedy))
        self.view, refused, rest = address.read(PAGE, query)
        self.rejected += [*refused, *address.unknown(PAGE, rest)]
        names, opens = sample_names(), _opens()
        samples = self.view.pop("sample")
        self.samples = opens if samples is None else [name for name in samples if name in names]
        unknown = [name for name in samples or () if name not in names]
        self.rejected += [FieldError("sample", name, "the name of a recorded sample") for name in unknown[:3]]
        chosen = self.view.pop("runs")
        self.chosen = None if chosen is None else list(chosen)
        self.watched = self.view.pop("live")
        self.with_live = self.with_live or self.watched is not None
        self.run, self.factor = self.view.pop("run") or "", self.view.pop("factor") or 0
        self.baseline, self.front = self.view.pop("baseline"), self.view.pop("front")
        self.loss_axis, self.loss_log = self.view.pop("loss_axis"), self.view.pop("loss_log")
        self.measure, self.cards = self.view.pop("measure"), self.view.pop("panel")
        moment = self.view.pop("moment")
        self.moments = {} if moment is None or not self.run else {self.run: moment}
        self.asked = {key for key in (self.run, self.baseline, self.front, *(self.chosen or ())) if key}
        for key in [key for key in st.session_state if str(key).startswith(_WIDGETS)]:
            del st.session_state[key]  # they begin anew, from what the link asks for

    def link(self) -> dict[str, Any]:
        """Return the values of the link of what is looked at."""
        live = self.live_run() if self.with_live else None
        return {
            **self.view,
            "sample": None if self.samples == _opens() else tuple(self.samples),
            "runs": None if self.chosen is None else tuple(self.chosen),
            "live": live.view_id if live else None,
            "run": self.run or None,
            "factor": self.factor or None,
            "baseline": self.baseline,
            "front": self.front,
            "loss_axis": self.loss_axis,
            "loss_log": self.loss_log,
            "measure": self.measure,
            "panel": self.cards,
            "moment": self.moments.get(self.run),
        }

    def settle(self, runs: Sequence[Run]) -> None:
        """Say which runs of the link are not open here, once that is certain."""
        self.asked -= {run.key for run in runs}
        if self.with_live and self.live_run() is not None:
            self.asked = {key for key in self.asked if not key.startswith("live/")}
        if not self.asked or self.open.pending or not self.session.known:
            return
        missing, self.asked = sorted(self.asked), set()
        self.rejected += [FieldError("run", key, _NOT_OPEN) for key in missing[:3]]
        self.run = "" if self.run in missing else self.run
        self.baseline = None if self.baseline in missing else self.baseline
        self.front = None if self.front in missing else self.front
        if self.chosen is not None:
            self.chosen = [key for key in self.chosen if key not in missing] or None

    def write_address(self) -> None:
        """Put what is looked at into the page's address, and remember it for this browser."""
        if self.asked:  # what the link names may be open in a moment
            return
        values = self.link()
        self.session.show(address.write(PAGE, values))
        self.browser.left[PAGE] = address.write(PAGE, values, whole=True)


def _opens() -> list[str]:
    return [name for name in OPENS_WITH if name in sample_names()]
