"""Panels of a run that grows while several threads draw it: each drawing is of one moment."""

from __future__ import annotations

import os
import threading
import time

import numpy as np

from foam_viz.analysis.checks import DECISION_ORDER
from foam_viz.analysis.checks import checks as all_checks
from foam_viz.analysis.findings import findings
from foam_viz.analysis.series import Missing, series
from foam_viz.analysis.snapshots import latest_snapshot, spectrum_extremes
from foam_viz.figures.catalogue import PANELS
from foam_viz.figures.compare import comparison as compare
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from tests.synthetic import SyntheticRun

SECONDS, READERS = float(os.environ.get("FOAM_VIZ_STRESS_SECONDS", "3")), 8


def test_a_run_that_grows_at_full_speed_is_drawn_by_eight_threads() -> None:
    run = SyntheticRun("foam").advance(20)
    end = time.monotonic() + SECONDS
    problems: list[BaseException] = []
    drawn = [0] * READERS

    def draw(number: int) -> None:
        try:
            while time.monotonic() < end:
                lane = Lane(run.trace, "FOAM", 0)
                spec = PANELS[(number + drawn[number]) % len(PANELS)]
                spec.draw(Scene([lane], Look(factor=number % 18)))
                checks = all_checks(lane.trace)
                assert len(checks.decision) == len(checks.step) == lane.trace.rows("checks")
                assert (checks.decision >= 0).all()
                counted = np.bincount(checks.decision)
                assert counted.sum() == checks.checks.sum() == lane.trace.rows("checks")
                assert counted[1:].sum() == checks.decompositions.sum()
                at = int(run.trace.view().last_step * (number + 1) / (READERS + 1))
                then = Scene([lane], Look(factor=number % 18, at=at))
                spec.draw(then)
                past = all_checks(then.lanes[0].trace)
                assert len(past.decision) == past.checks.sum() == then.lanes[0].trace.rows("checks")
                compare.draw(Scene([lane]))
                findings(run.trace)
                loss = series(run.trace, "loss")
                assert isinstance(loss, Missing) or len(loss.x) == len(loss.y)
                drawn[number] += 1
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is told below
            problems.append(error)

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        run.advance(1)
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    assert all(drawn)
    lane = Lane(run.trace, "FOAM", 0)
    assert all_checks(lane.trace).decision.tolist() == [
        DECISION_ORDER.index(word) for word in run.trace.checks["decision"].to_pylist()
    ]


def test_an_earlier_view_is_drawn_after_a_later_one() -> None:
    run = SyntheticRun("foam").advance(100)
    early = Lane(run.trace, "FOAM", 0)
    run.advance(100)
    late = Lane(run.trace, "FOAM", 0)
    assert len(all_checks(late.trace)) == late.trace.rows("checks")
    assert len(all_checks(early.trace)) == early.trace.rows("checks") < late.trace.rows("checks")
    assert latest_snapshot(early.trace, 0).step < latest_snapshot(late.trace, 0).step
    low, high = spectrum_extremes(early.trace, 0)
    wider = spectrum_extremes(late.trace, 0)
    assert wider[0] <= low
    assert wider[1] >= high
