"""A workbench without a page: what it does when the engine ends, or when its preparation is stopped."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from foam_viz.analysis.replay import Grid
from foam_viz.analysis.replay_setting import NoReplay, default_setting
from foam_viz.engine.replay.client import EngineLost, Preparation
from foam_viz.recording.stream import Spacing
from foam_viz.trace import Manifest, Trace
from foam_viz.ui.session.threshold import StreamedRun, Truths, Workbench


class Client:
    """Takes down what it is asked; the test answers."""

    def __init__(self) -> None:
        self.preparation = Preparation("run")
        self.asked: list[Future[Any]] = []
        self.left = 0

    def ready(self) -> None:
        own = default_setting(1e-6, 10)
        self.preparation.own, self.preparation.grid = own, Grid(Spacing(10, 1, 10), 10, 100, own)
        self.preparation.share = 1.0
        self.preparation.ready.set_result(self.preparation)

    def prepare(self, path: Path, asker: str) -> Preparation:
        return self.preparation

    def leave(self, path: Path, asker: str) -> None:
        self.left += 1

    def _ask(self, *_: Any, **__: Any) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]

    run = summaries = calibrate = _ask


def bench(client: Client) -> Workbench:
    trace = Trace.empty(Manifest(run_id="a", name="a"))
    run = StreamedRun("sample:a", "a", "sample", Path("run"), lambda: trace)
    return Workbench(client, run, Truths(lambda: None, lambda: 0))  # type: ignore[arg-type]


def lose(client: Client, engine: int) -> None:
    asked, client.asked = client.asked, []
    for future in asked:
        future.set_exception(EngineLost(engine))


def test_what_an_engine_did_not_answer_is_asked_of_the_next_one_and_a_third_loss_is_told() -> None:
    client = Client()
    made = bench(client)
    client.ready()
    first = len(client.asked)
    assert first == 3  # the own setting, the calibration, the chosen setting
    for engine in (1, 2):
        lose(client, engine)
        assert len(client.asked) == first and not made.problem
    lose(client, 3)
    assert "engine ended" in made.problem and made.passes and not client.asked


def test_a_run_that_cannot_be_replayed_is_not_tried_again() -> None:
    client = Client()
    made = bench(client)
    client.preparation.ready.set_exception(NoReplay("it kept no factor stream", "Train it again"))
    assert "no factor stream" in made.problem and not made.passes


def test_who_stops_a_preparation_leaves_it_to_the_others() -> None:
    client = Client()
    made = bench(client)
    made.stop()
    assert "stopped" in made.problem and made.passes and client.left == 1
    client.ready()  # somebody else waited for it
    assert "stopped" in made.problem and not client.asked
