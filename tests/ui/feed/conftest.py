"""A feed of runs that tests let grow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from foam_viz.figures import catalogue
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui.feed.feed import Feed
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.feed.sources import Sources
from tests.synthetic import SyntheticRun
from tests.ui.feed.client import Client, Served


@pytest.fixture
def feed() -> Feed:
    return Feed(Sources(lambda: pytest.fail("these tests have no hub")))


@pytest.fixture
def served(feed: Feed) -> Iterator[Served]:
    started = Served(feed)
    yield started
    started.stop()


@pytest.fixture
def client(served: Served) -> Iterator[Callable[..., Client]]:
    opened: list[Client] = []

    def connect(**more: object) -> Client:
        opened.append(served.client(**more))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


class Growing:
    """A source of two runs that grow, with what was drawn of it."""

    def __init__(self, feed: Feed) -> None:
        self.runs = [SyntheticRun("foam").advance(200), SyntheticRun("shampoo", seed=1).advance(200)]
        self.drawn: list[str] = []
        self.broken: set[str] = set()
        self._held: dict[str, threading.Event] = {}
        specs = [self._counted(spec) for spec in catalogue.PANELS]
        self.id = feed.sources.register("test", lambda name: RecordedSource(name, self.lanes, panels=specs))

    def lanes(self) -> list[Lane]:
        return [Lane(run.trace, run.trace.manifest.name, place) for place, run in enumerate(self.runs)]

    def advance(self, steps: int = 20) -> None:
        for run in self.runs:
            run.advance(steps)

    def hold(self, panel: str) -> threading.Event:
        """Drawing the panel waits until the event is set."""
        return self._held.setdefault(panel, threading.Event())

    def _counted(self, spec: PanelSpec) -> PanelSpec:
        def draw(scene: Scene) -> Drawing:
            self.drawn.append(spec.id)
            if spec.id in self.broken:
                raise RuntimeError("a defect")
            if spec.id in self._held:
                assert self._held[spec.id].wait(20)
            return spec.draw(scene)

        return replace(spec, draw=draw)


@pytest.fixture
def growing(feed: Feed) -> Growing:
    return Growing(feed)
