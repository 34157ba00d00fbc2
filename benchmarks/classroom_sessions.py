"""Thirty sessions train at once, a run of two lanes each: clicks, fairness, throughput, memory.

First without pages (``hub``): the hub and its engine alone, as a page calls them. Then through the server
(``sessions``), spoken to by visitors without browsers. Both begin with one run alone, the measure of the throughput.
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

import psutil

from benchmarks.classroom_figures import megabytes, option, percentile
from benchmarks.report import Report
from benchmarks.server import Server
from benchmarks.visitors import Visitor

SESSIONS, SECONDS = 30, 30.0
_MOST_SESSIONS, _MOST_SECONDS = 100, 300.0
_ALONE_SECONDS, _WARM_SECONDS = 8.0, 5.0
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
    from foam_viz.experiment import config
    from foam_viz.settings import Settings

    experiment, _ = config.from_query({"lane": _LANES})
    served = Hub(Settings(data_directory=home / "hub", engines=1, device="cpu", maximum_runs=count + 1))
    try:
        served.ready(180)
        runs = [served.create(experiment, session=str(n)) for n in range(count)]
        for run, _ in runs:
            run.wait(120)
        first, key = runs[0]
        served.command(first.view_id, key, Start())
        alone = _rate_of(first, _WARM_SECONDS, _ALONE_SECONDS)
        for run, key in runs[1:]:
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
        rates = [(run.step - step) / took for (run, _), step in zip(runs, before, strict=True)]
        _tell(report, f"{count} runs, hub alone", clicks, rates, alone, megabytes(psutil.Process()))
    finally:
        served.close()


def _rate_of(run: object, warm: float, seconds: float) -> float:
    time.sleep(warm)
    began, before = time.monotonic(), run.step
    time.sleep(seconds)
    return (run.step - before) / (time.monotonic() - began)


async def sessions(report: Report, server: Server, count: int, seconds: float) -> None:
    """Measures a class that trains, through the server."""
    query = "&".join(f"lane={lane}" for lane in _LANES)
    everybody = [Visitor(server.url, query, steers=True) for _ in range(count)]
    first = everybody[0]
    await _start(first)
    await asyncio.sleep(_WARM_SECONDS)
    began, before = time.perf_counter(), first.board.step
    await asyncio.sleep(_ALONE_SECONDS)
    alone = (first.board.step - before) / (time.perf_counter() - began)
    for visitor in everybody[1:]:
        await _start(visitor)
    await asyncio.sleep(_WARM_SECONDS)
    began, steps = time.perf_counter(), [visitor.board.step for visitor in everybody]
    clickers = random.sample(everybody, min(_CLICKERS, count))
    found = await asyncio.gather(*(_clicks(one, began + seconds) for one in clickers), asyncio.sleep(seconds))
    took = time.perf_counter() - began
    rates = [(visitor.board.step - step) / took for visitor, step in zip(everybody, steps, strict=True)]
    clicks = [click for part in found if part for click in part]
    name = f"{count} sessions"
    _tell(report, name, clicks, rates, alone, megabytes(psutil.Process(server.process.pid)))
    errors = sorted({error for visitor in everybody for error in visitor.errors})
    report.at_most(f"{name}: errors{': ' + errors[0] if errors else ''}", len(errors), 0)
    for visitor in everybody:
        await visitor.close()


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
        with Server(Path(home) / "server", FOAM_VIZ_ENGINES="1", FOAM_VIZ_MAXIMUM_RUNS=str(count + 4)) as server:
            asyncio.run(sessions(report, server, count, seconds))


def main() -> int:
    report = Report("classroom_sessions")
    report.add("load of the machine before", os.getloadavg()[0])
    measure(report, int(option("sessions", SESSIONS, _MOST_SESSIONS)), option("seconds", SECONDS, _MOST_SECONDS))
    report.add("load of the machine after", os.getloadavg()[0])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
