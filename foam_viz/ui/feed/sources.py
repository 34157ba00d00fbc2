"""Every source by its id."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.experiment.config import Experiment
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.trace import Trace
from foam_viz.trace.disk import bundle
from foam_viz.trace.visible import shortened
from foam_viz.ui.feed import lessons, opening, protocol
from foam_viz.ui.feed.live import AwaitedSource, LiveSource
from foam_viz.ui.feed.recorded import GONE, RecordedSource
from foam_viz.ui.feed.source import Gone, KeptSource, Source

_SAMPLE = "sample:"
SET = "set:"
"""Ids of sources that belong to somebody begin with it: nothing of them is kept when nobody looks."""
_MOST_LANES = 6
_MOST_AWAITED = 256
"""Experiments without a run that are kept: the ones that a page asked for last."""
_LANES = frozenset(["", *map(str, range(_MOST_LANES))])
"""What may follow the view id of a run: nothing, or the position of a lane."""


class Sources:
    """Finds sources. Any thread may call.

    Args:
        hub: Gives the hub of live runs.
    """

    def __init__(self, hub: Callable[[], Hub]) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._shared: dict[str, KeptSource] = {}
        self._awaited: OrderedDict[str, AwaitedSource] = OrderedDict()
        self._owners: dict[str, str] = {}

    def find(self, source: str) -> Source:
        """Return the source of an id.

        Raises:
            Gone: There is none.
        """
        view_id, _, lane = source.partition(":")
        if store.is_identity(view_id) and lane in _LANES:
            return LiveSource(self._hub(), source)
        if source.startswith(lessons.PREFIX):
            return lessons.source_of(self._hub(), source)
        if source.startswith(opening.PREFIX):
            return opening.source_of(self._hub(), source)
        with self._lock:
            if found := self._shared.get(source) or self._awaited.get(source):
                return found
        if source.startswith(_SAMPLE):
            return self._sample(source)
        raise Gone(GONE)

    def _sample(self, source: str) -> Source:
        names = source.removeprefix(_SAMPLE).split("+")
        if len(names) > _MOST_LANES or not all(name in samples() for name in names):
            raise Gone("There is no such sample.")
        traces = [_read(name) for name in names]
        lanes = [Lane(trace, shortened(trace.manifest.name), position) for position, trace in enumerate(traces)]
        return RecordedSource(source, lanes)

    def register(self, owner: str, make: Callable[[str], KeptSource]) -> str:
        """Keep a source under an id that nobody can guess: knowing it is the right to look.

        Args:
            owner: Whose it is, for :meth:`forget_all`.
            make: Given the id, returns the source.
        """
        name = f"{SET}{store.new_identity()}"
        source = make(name)
        with self._lock:
            self._shared[name] = source
            self._owners[name] = owner
        return name

    def forget(self, source: str) -> None:
        """Let go of a source that was registered; pages that show it are told."""
        with self._lock:
            if self._owners.pop(source, None) is None:
                return
            gone = self._shared.pop(source)
        gone.forget()

    def forget_all(self, owner: str) -> None:
        """Let go of all that is an owner's."""
        with self._lock:
            names = [name for name, whose in self._owners.items() if whose == owner]
        for name in names:
            self.forget(name)

    def share(self, name: str, make: Callable[[str], RecordedSource]) -> str:
        """Keep a source under a public name; all who see it share its drawings. The first one stays.

        Args:
            name: Of the source.
            make: Given the id, returns the source.

        Raises:
            ValueError: No board could ask for a source of this name.
        """
        source = f"shared:{name}"
        if not protocol.is_source(source):
            raise ValueError(f"{name!r} cannot name a source: letters, digits and :+._- are allowed")
        with self._lock:
            known = source in self._shared
        if not known:
            made = make(source)
            with self._lock:
                self._shared.setdefault(source, made)
        return source

    def awaited(self, experiment: Experiment) -> str:
        """Return the id of the source that stands for an experiment without a run."""
        text = json.dumps(experiment.to_json(), sort_keys=True)
        name = f"awaited:{blake2b(text.encode(), digest_size=12).hexdigest()}"
        with self._lock:
            known = self._awaited.pop(name, None) or AwaitedSource(name, experiment)
            self._awaited[name] = known
            while len(self._awaited) > _MOST_AWAITED:
                self._awaited.popitem(last=False)
        return name


@lru_cache(maxsize=1)
def samples() -> frozenset[str]:
    """The names of the recorded runs that come with the app."""
    return frozenset(path.stem for path in SAMPLE_RUNS.glob("*.zip"))


@lru_cache(maxsize=8)
def _read(name: str) -> Trace:
    return bundle.read(SAMPLE_RUNS / f"{name}.zip")
