"""The truth engine: what it trains is the run itself, it is stopped, and it comes back when it dies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from foam_viz.engine.truth.client import TruthClient
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from tests.engine.conftest import until


def wanted(steps: int = 40, **settings: object) -> dict:
    experiment, errors = config.build(
        task_settings={"width": 16}, run_settings={"steps": steps}, lanes=[("foam", {"tau": 0.4, **settings})]
    )
    assert not errors
    return experiment.lane_config(0)


@pytest.fixture(scope="module")
def client() -> Iterator[TruthClient]:
    made = TruthClient()
    yield made
    made.close()


def test_what_is_trained_is_the_run_itself(client: TruthClient) -> None:
    told = []
    training = client.train(wanted(), lambda: told.append(1))
    until(lambda: training.over, 120)
    assert training.status == "finished" and told
    run = Run(wanted(), run_id="alone")
    while run.live:
        run.advance()
    rows = run.drain()
    np.testing.assert_array_equal(training.trace.values("steps", "loss"), rows["steps"]["loss"].to_numpy())
    assert training.trace.checks["decision"].to_pylist() == rows["checks"]["decision"].to_pylist()
    assert 0 < training.error_left < 10 and training.kernel_seconds > 0


def test_a_run_is_stopped_while_it_trains_and_while_it_waits(client: TruthClient) -> None:
    long, waits, after = (client.train(wanted(steps), lambda: None) for steps in (100_000, 100_000, 10))
    until(lambda: long.trace is not None and long.trace.rows("steps"), 60)
    client.stop(waits)
    client.stop(long)
    until(lambda: after.over, 60)
    assert (long.status, waits.status, after.status) == ("stopped", "stopped", "finished")


def test_a_run_that_cannot_be_trained_says_why(client: TruthClient) -> None:
    bad = client.train({**wanted(), "optimizer": "nonsense"}, lambda: None)
    until(lambda: bad.over, 60)
    assert bad.status == "failed" and "nonsense" in bad.reason


def test_an_engine_that_dies_is_replaced(client: TruthClient) -> None:
    training = client.train(wanted(100_000), lambda: None)
    until(lambda: training.trace is not None, 60)
    client._process.kill()
    until(lambda: training.over, 60)
    assert training.status == "failed" and "ended" in training.reason
    again = client.train(wanted(10), lambda: None)
    until(lambda: again.over, 60)
    assert again.status == "finished"
