"""One recorded run under examination in one tab: what is asked of the replay engine, and what it answered so far.

Nothing here waits. Questions are answered on the engine's thread; who looks is told and takes the newest state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from typing import Any

from foam_viz.analysis.fronts import reference_settings
from foam_viz.analysis.replay import MAP_ERROR_EVERY, Replay, Summary
from foam_viz.analysis.replay_setting import NoReplay, Setting, default_map, tau_and_cap
from foam_viz.analysis.study import FIRST_PIN, FIRST_TRUTH, MOST_PINS, OWN, WHAT_IF, Study, difference
from foam_viz.analysis.what_if import as_trace
from foam_viz.engine import store
from foam_viz.engine.replay.client import EngineLost, Preparation, ReplayClient
from foam_viz.figures.scene import Lane
from foam_viz.optim.fields import FieldError
from foam_viz.trace import Trace
from foam_viz.ui.threshold.runs import StreamedRun
from foam_viz.ui.threshold.truths import REST_SECONDS, Truths

_A_ROW = 5
"""Settings that the engine is asked for at a time: a move never waits for a whole map."""
_MOST_LOSSES = 2
"""Engines that may end while they answer, before the run is given up."""
_STOPPED = "The preparation was stopped. Try again to go on."
_ENDED = (
    "The replay engine ended while it worked on this run. Try again; if it ends again, the run may be too large for "
    "this machine."
)


class Workbench:
    """A run, the chosen setting, and everything that is known of both.

    Args:
        client: The replay engine of the server.
        run: The run.
        truths: Train the chosen setting for real.

    Attributes:
        run: The run.
        truths: Settings that were really trained.
        preparation: How far the engine is.
        calibration: What is suggested, with the quantiles of the spectrum; None until it is known.
        problem: Why the run cannot be replayed, and what to do; empty while it can.
        passes: Whether the problem may be gone when the run is prepared again.
        refused: Why the chosen setting cannot be replayed; empty where it can.
        revision: Rises with everything that changes.
    """

    def __init__(self, client: ReplayClient, run: StreamedRun, truths: Truths) -> None:
        self.run, self._client = run, client
        self.lock = threading.RLock()
        self.revision = 0
        self.calibration: Mapping[str, Any] | None = None
        self.problem = self.refused = ""
        self.passes = False
        self.listeners: set[Callable[[], None]] = set()
        self._study = Study()
        self._resting: threading.Timer | None = None
        self._traces: dict[int, tuple[Replay, Lane]] = {}
        self._map_of: tuple[Any, ...] = ()
        self._name = store.new_identity()
        self._recorded = run.trace()
        waits = self._recorded.manifest.with_(status="running")  # its checks will come, and the cards say so
        self._awaited = Lane(Trace.empty(waits), "what if", WHAT_IF)
        self.truths = truths
        truths.watch(self._touch)
        truths.learn(self._recorded.manifest, self._recorded)
        self._left = threading.Event()
        self._losses: set[int] = set()
        self.preparation = Preparation(str(run.path), words="reading the snapshots")
        if run.make is None:
            self._prepare()
        else:
            threading.Thread(target=self._make, args=(run.make,), daemon=True, name="threshold-make").start()

    def _make(self, make: Callable[[Callable[[], bool]], str]) -> None:
        if reason := make(self._left.is_set):
            self._fail(reason, passes=True)
        else:
            self._prepare()

    def _prepare(self) -> None:
        with self.lock:
            self.preparation = self._client.prepare(self.run.path, self._name)
        self.preparation.ready.add_done_callback(self._prepared)
        self._touch()

    # --- what is seen

    @property
    def study(self) -> Study:
        """What is known now."""
        return replace(self._study, truths=self.truths.all())

    @property
    def own(self) -> Setting | None:
        """The setting that a move begins from; None until the run is prepared."""
        return self.preparation.own if self.preparation.share >= 1 else None

    @property
    def phase(self) -> str:
        """What the page around the panels depends on."""
        if self.problem:
            return "refused"
        study = self._study
        ready = "ready" if self.own is not None else "preparing"
        known = [word for word, there in (("calibrated", self.calibration), ("map", study.points)) if there]
        return " ".join([ready, *known, self.refused])

    def lanes(self) -> tuple[Lane, ...]:
        """The recorded run, the what-if, and pinned settings."""
        with self.lock:
            own = self.own
            name = own.label() if own and self.is_known else self._recorded.manifest.name
            lanes = [Lane(self._recorded, f"recorded: {name}", OWN)]
            what_if = self._study.what_if
            lanes.append(self._awaited if what_if is None else self._lane(WHAT_IF, what_if, "what if: "))
            lanes += [self._lane(FIRST_PIN + i, one, "pinned: ") for i, one in enumerate(self._study.pins)]
            shown = None if what_if is None else what_if.setting
            lanes += [
                Lane(run.training.trace, f"trained, seed {run.seed}", FIRST_TRUTH + place)
                for place, run in enumerate(self.truths.of(shown))
                if run.training.trace is not None
            ]
            return tuple(lanes)

    @property
    def is_known(self) -> bool:
        """Whether the setting that a move begins from is the one that the run was recorded under."""
        return self.preparation.grid is not None and self.preparation.grid.own is not None

    @property
    def recorded(self) -> Any:
        """The trace of the recorded run."""
        return self._recorded

    def _lane(self, position: int, replay: Replay, words: str) -> Lane:
        known = self._traces.get(position)
        if known is None or known[0] is not replay:
            label = words + difference(replay.setting, self.preparation.own if self.is_known else None)
            trace = as_trace(replay, self._recorded.manifest, self._recorded.view().last_step, label)
            known = self._traces[position] = replay, Lane(trace, label, position)
        return known[1]

    # --- what is asked

    def choose(self, setting: Setting) -> None:
        """Replay a setting; what cannot be is said in ``refused``, and what was shown before stays."""
        with self.lock:
            grid = self.preparation.grid
            if grid is None or setting == self._study.setting:
                return
            try:
                grid.require(setting)
            except FieldError as error:
                self.refused = str(error)
                self._touch()
                return
            self.refused = ""
            self._study = replace(self._study, setting=setting)
        self.truths.move()
        self._ask(setting)

    def color(self, color: str, work: str) -> None:
        """Choose what colours the map and what the front's horizontal axis shows."""
        with self.lock:
            if (color, work) != (self._study.color, self._study.work):
                self._change(color=color, work=work)

    def pin(self) -> None:
        """Keep the what-if beside later ones; of too many the oldest goes."""
        with self.lock:
            what_if = self._study.what_if
            if what_if is not None and all(what_if.setting != pin.setting for pin in self._study.pins):
                self._change(pins=(*self._study.pins, what_if)[-MOST_PINS:])

    def unpin(self) -> None:
        """Let go of all pinned settings."""
        with self.lock:
            self._change(pins=())

    def stop(self) -> None:
        """Stop preparing; whoever else waits for the same run goes on waiting."""
        self._left.set()
        self._client.leave(self.run.path, self._name)
        self._fail(_STOPPED, passes=True)

    def leave(self) -> None:
        """Ask for nothing more: the page looks at another run."""
        self._left.set()
        with self.lock:
            self._map_of = ()
            self.listeners.clear()
        self._client.leave(self.run.path, self._name)
        self.truths.move()

    def _ask(self, setting: Setting) -> None:
        self._heed(self._client.run(self.run.path, setting, asker=self._name), partial(self._moved, setting))

    def _heed(self, future: Future[Any], answered: Callable[[Future[Any]], None]) -> None:
        future.add_done_callback(answered)
        future.add_done_callback(self._lost)

    # --- what is answered, on the engine's thread

    def _prepared(self, future: Future[Preparation]) -> None:
        if self._left.is_set() or not self._is_good(future):
            return
        with self.lock:
            chosen = self._study.setting or self.preparation.own
        self._heed(self._client.run(self.run.path), self._replayed_own)
        self._heed(self._client.calibrate(self.run.path), self._calibrated)
        if chosen is not None:
            with self.lock:
                self._study = replace(self._study, setting=None)
            self.choose(chosen)
        self._touch()

    def _is_good(self, future: Future[Preparation]) -> bool:
        """Whether a run was prepared; a reason why not is kept for the page."""
        try:
            error = future.exception(0)
        except CancelledError:
            self._fail(_STOPPED, passes=True)
            return False
        if error is None:
            return True
        if isinstance(error, EngineLost):
            self._fail(_ENDED, passes=True)
        else:
            self._fail(str(error) if isinstance(error, NoReplay) else f"The replay failed: {error}")
        return False

    def _fail(self, words: str, *, passes: bool = False) -> None:
        with self.lock:
            self.problem, self.passes = words, passes
            self._touch()

    def _lost(self, future: Future[Any]) -> None:
        """Ask for everything again where the engine ended before it answered; more than once it says so."""
        error = None if future.cancelled() else future.exception(0)
        if not isinstance(error, EngineLost):
            return
        with self.lock:
            if self.problem or self._left.is_set() or error.engine in self._losses:
                return
            self._losses.add(error.engine)
            self._map_of = ()
            if len(self._losses) > _MOST_LOSSES:
                self._fail(_ENDED, passes=True)
            else:
                self._prepare()

    def _replayed_own(self, future: Future[Replay]) -> None:
        with self.lock:
            if _answered(future) and future.result().exact:  # of a run whose setting nobody knows it is another one's
                self._change(own=future.result())

    def _calibrated(self, future: Future[Mapping[str, Any]]) -> None:
        with self.lock:
            if _answered(future):
                self.calibration = future.result()
                self._change(quantiles=tuple(self.calibration["quantiles"]))

    def _moved(self, setting: Setting, future: Future[Replay]) -> None:
        try:
            error = future.exception(0)
        except CancelledError:
            return
        with self.lock:
            if isinstance(error, NoReplay):
                self.refused = str(error)
                self._touch()
            if error is not None or setting != self._study.setting:
                return
            self._change(what_if=future.result())
        self._survey(setting)
        self.truths.rest(future.result())
        self._rest(setting)

    def _rest(self, setting: Setting) -> None:
        """Ask for the errors of updates once nothing moves: they cost a move's time again."""
        with self.lock:
            if self._resting is not None:
                self._resting.cancel()
            self._resting = threading.Timer(REST_SECONDS, self._ask_updates, [setting])
            self._resting.daemon = True
            self._resting.start()

    def _ask_updates(self, setting: Setting) -> None:
        if setting == self._study.setting:
            for asked, name in ((setting, "updates"), (None, "own_updates")):
                if name == "updates" or (self._study.own is not None and self._study.own_updates is None):
                    future = self._client.run(self.run.path, asked, updates=True, asker=self._name)
                    self._heed(future, partial(self._updated, name))

    def _updated(self, name: str, future: Future[Replay]) -> None:
        if _answered(future) and (name == "own_updates" or future.result().setting == self._study.setting):
            self._change(**{name: future.result()})

    def _survey(self, setting: Setting) -> None:
        """Ask for the map and the references around a setting, where they are not those at hand."""
        with self.lock:
            base = self._base(setting)
            if base.key == self._map_of or self.preparation.grid is None:
                return
            self._map_of = base.key
            taus, caps = default_map(base)
            caps = list(dict.fromkeys(caps))
            self._change(taus=tuple(taus), caps=tuple(caps), points=(), references=())
            references = reference_settings(base, self.preparation.grid)
            wanted = [*tau_and_cap(base, taus, caps), *references]
            self._next(base.key, wanted, len(taus) * len(caps), [])

    def _base(self, setting: Setting) -> Setting:
        """What the map depends on of a setting: all but tau and eps_max, which are those of the recorded run."""
        foam = setting.changed({"optimizer": "foam", "tau": 0.5}) if "tau" not in setting.values else setting
        own = self.preparation.own
        cap = own.values.get("epsilon_max") if own else None
        cap = max(cap or 10 * foam.values["epsilon"], foam.values["epsilon"])
        return foam.changed({"optimizer": "foam", "tau": 0.5, "epsilon_max": cap})

    def _next(self, key: tuple[Any, ...], wanted: Sequence[Setting], cells: int, found: list[Summary]) -> None:
        """Ask for a few more settings of the map and the references; an answer asks for the next ones."""
        some = wanted[len(found) : len(found) + _A_ROW]
        if not some or key != self._map_of:
            return
        asked = self._client.summaries(self.run.path, some, error_every=MAP_ERROR_EVERY)

        def answered(future: Future[list[Summary]]) -> None:
            if not _answered(future):
                return
            found.extend(future.result())
            with self.lock:
                if key != self._map_of:
                    return
                if len(found) >= cells:
                    self._change(points=tuple(found[:cells]), references=tuple(found[cells:]))
            self._next(key, wanted, cells, found)

        self._heed(asked, answered)

    def _change(self, **changes: Any) -> None:
        with self.lock:
            self._study = replace(self._study, **changes)
            self._touch()

    def _touch(self) -> None:
        with self.lock:
            self.revision += 1
            listeners = list(self.listeners)
        for tell in listeners:
            tell()


def _answered(future: Future[Any]) -> bool:
    try:
        return future.exception(0) is None
    except CancelledError:
        return False
