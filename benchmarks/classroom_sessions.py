"""Thirty sessions train at once, a run of two lanes each: clicks, fairness, throughput, memory.

First without pages (``hub``): the hub and its engine alone, as a page calls them. Then through the server
(``sessions``), spoken to by visitors without browsers. Both begin with one run alone, the measure of the throughput:
over the same steps as the thirty make later, since the first steps of a run cost twice what later ones do (each check
decomposes, and snapshots are dense).
``--sessions=N`` and ``--seconds=S`` make it smaller. Loopback only, bounded; the load of the machine is printed, since
all of it shares one with the server.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.classroom_figures import megabytes, option, percentile
from benchmarks.report import Report
from benchmarks.server import Server
from benchmarks.visitors import Visitor

SESSIONS, SECONDS = 30, 30.0
_MOST_SESSIONS, _MOST_SECONDS = 100, 300.0
_ALONE_STEPS, _ALONE_RUNS, _WARM_SECONDS = 150, 3, 5.0
_CLICKERS = 8
_LANES = ("foam", "shampoo")


def _tell(report: Report, name: str, clicks: list[float], rates: list[float], alone: float, megabytes: float) -> None:
    mean = statistics.mean(rates)
    report.at_most(f"{name}: click to answer, median, ms", 1e3 * statistics.median(clicks), 250)
    report.at_most(f"{name}: click to answer, 95th percentile, ms", 1e3 * percentile(clicks, 0.95), 1000)
    report.add(f"{name}: clicks", len(clicks))
    report.add(f"{name}: steps/s of one run alone", alone)
    report.add(f"{name}: steps/s, mean of the runs", mean)
    report.at_least(f"{name}: steps/s, slowest run over the mean", min(rates) / max(mean, 1e-9), 0.5)
    report.at_least(f"{name}: steps/s, sum over one run alone", sum(rates) / max(alone, 1e-9), 0.8)
    report.at_most(f"{name}: memory of server and engines, MB", megabytes, 1500)


def hub(report: Report, count: int, seconds: float, home: Path) -> None:
    """Measures the hub and one engine, without pages."""
    from foam_viz.engine.server.hub import Hub
    from foam_viz.engine.wire.commands import Pause, Start
    from foam_viz.experiment import links
    from foam_viz.settings import Settings

    experiment, _ = links.from_query({"lane": _LANES})
    served = Hub(Settings(data_directory=home / "hub", engines=1, device="cpu", maximum_runs=count + 4))
    try:
        served.ready(180)
        courses = []
        for n in range(_ALONE_RUNS):
            run, key = served.create(experiment, session=f"alone {n}")
            run.wait(120)
            served.command(run.view_id, key, Start())
            courses.append(_course(run))
            served.command(run.view_id, key, Pause())
            run.wait(120)
        runs = [served.create(experiment, session=str(n)) for n in range(count)]
        for run, _ in runs:
            run.wait(120)
        for run, key in runs:
            served.command(run.view_id, key, Start())
        time.sleep(_WARM_SECONDS)
        began, before, clicks = time.monotonic(), [run.step for run, _ in runs], []
        while time.monotonic() - began < seconds:
            run, key = random.choice(runs)
            for command in (Pause(), Start()):
                asked = time.monotonic()
                served.command(run.view_id, key, command)
                run.wait(30)
                clicks.append(time.monotonic() - asked)
            time.sleep(random.uniform(0.1, 0.4))
        took = time.monotonic() - began
        after = [run.step for run, _ in runs]
        rates = [(last - first) / took for last, first in zip(after, before, strict=True)]
        alone = _alone(courses, statistics.mean(before), statistics.mean(after))
        _tell(report, f"{count} runs, hub alone", clicks, rates, alone, megabytes(psutil.Process()))
    finally:
        served.close()


def _course(run: object) -> list[tuple[float, float]]:
    """Of a run that has just been started, when it made which step."""
    found: list[tuple[float, float]] = []
    while not found or found[-1][1] < _ALONE_STEPS:
        if not found or run.step > found[-1][1]:
            found.append((time.monotonic(), run.step))
        time.sleep(0.01)
    return found


def _alone(courses: list[list[tuple[float, float]]], first: float, last: float) -> float:
    """Steps a second of one run alone between two of its steps: the median of several runs."""

    def at(course: list[tuple[float, float]], step: float) -> float:
        seconds, steps = zip(*course, strict=True)
        return float(np.interp(min(step, steps[-1] - 1), steps, seconds))

    first, last = min(first, _ALONE_STEPS - 20.0), min(last, _ALONE_STEPS - 1.0)
    return statistics.median((last - first) / (at(course, last) - at(course, first)) for course in courses)


async def sessions(report: Report, server: Server, count: int, seconds: float) -> None:
    """Measures a class that trains, through the server."""
    query = "&".join(f"lane={lane}" for lane in _LANES)
    everybody = [Visitor(server.url, query, steers=True) for _ in range(count)]
    courses = []
    for _ in range(_ALONE_RUNS):
        lonely = Visitor(server.url, query, steers=True)
        await _start(lonely)
        courses.append(await _course_on_board(lonely))
        await lonely.click("Pause", "paused")
        await lonely.close()
    for visitor in everybody:
        await _start(visitor)
    await asyncio.sleep(_WARM_SECONDS)
    began, steps = time.perf_counter(), [visitor.board.step for visitor in everybody]
    clickers = random.sample(everybody, min(_CLICKERS, count))
    found = await asyncio.gather(*(_clicks(one, began + seconds) for one in clickers), asyncio.sleep(seconds))
    took = time.perf_counter() - began
    ends = [visitor.board.step for visitor in everybody]
    rates = [(last - first) / took for last, first in zip(ends, steps, strict=True)]
    alone = _alone(courses, statistics.mean(steps), statistics.mean(ends))
    clicks = [click for part in found if part for click in part]
    name = f"{count} sessions"
    _tell(report, name, clicks, rates, alone, megabytes(psutil.Process(server.process.pid)))
    errors = sorted({error for visitor in everybody for error in visitor.errors})
    report.at_most(f"{name}: errors{': ' + errors[0] if errors else ''}", len(errors), 0)
    for visitor in everybody:
        await visitor.close()


async def _course_on_board(visitor: Visitor) -> list[tuple[float, float]]:
    """The same, as a page is told."""
    found = [(time.monotonic(), float(visitor.board.step))]
    while found[-1][1] < _ALONE_STEPS:
        await visitor.board.until(lambda: visitor.board.step > found[-1][1])
        found.append((time.monotonic(), float(visitor.board.step)))
    return found


async def _start(visitor: Visitor) -> None:
    """Starts a run; its page is drawn once more, as it was drawn before the run had begun."""
    await visitor.start()
    await visitor.page.rerun()


async def _clicks(visitor: Visitor, end: float) -> list[float]:
    """Somebody pauses and goes on, at moments that nobody knows before."""
    found = []
    while time.perf_counter() < end - 3:
        await asyncio.sleep(random.uniform(1.0, 8.0))
        for label, state in (("Pause", "paused"), ("Start", "training")):
            found.append(await visitor.click(label, state))
            await asyncio.sleep(1.0)
    return found


def measure(report: Report, count: int = SESSIONS, seconds: float = SECONDS) -> None:
    """Both parts; ``report`` gets the figures."""
    with tempfile.TemporaryDirectory() as home:
        hub(report, count, seconds, Path(home))
        with Server(Path(home) / "server", FOAM_VIZ_ENGINES="1", FOAM_VIZ_MAXIMUM_RUNS=str(count + 8)) as server:
            asyncio.run(sessions(report, server, count, seconds))


def main() -> int:
    report = Report("classroom_sessions")
    report.add("load of the machine before", os.getloadavg()[0])
    measure(report, int(option("sessions", SESSIONS, _MOST_SESSIONS)), option("seconds", SECONDS, _MOST_SECONDS))
    report.add("load of the machine after", os.getloadavg()[0])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
