"""A class: sixty watch the run of a teacher, thirty train runs of their own.

Visitors are spoken for without browsers, see ``visitors``; the part of the sessions is in ``classroom_sessions``, that
of one real browser in ``live_view``, and an hour of it in ``soak``, which runs alone (``--soak``). ``--watchers=N``,
``--sessions=N`` and ``--seconds=S`` make it smaller; 0 leaves a part out. Loopback only, bounded in number and time;
the load of the machine is printed, since all of it shares one with the server.
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

from benchmarks import classroom_sessions, soak
from benchmarks.classroom_figures import megabytes, option, percentile
from benchmarks.report import Report
from benchmarks.server import Server
from benchmarks.visitors import Visitor

WATCHERS, SECONDS = 60, 30.0
_MOST_WATCHERS, _MOST_SECONDS = 200, 300.0
_WARM_SECONDS, _STAGGER_SECONDS = 5.0, 0.3
_RUN = "lane=foam&lane=shampoo"


async def _clicks(teacher: Visitor, end: float) -> list[float]:
    """The teacher pauses and goes on, at moments that nobody knows before."""
    found = []
    while time.perf_counter() < end - 4:
        await asyncio.sleep(random.uniform(0.8, 2.0))
        for label, state in (("Pause", "paused"), ("Start", "training")):
            found.append(await teacher.click(label, state))
            await asyncio.sleep(0.8)
    return found


async def _scrub(url: str, view_id: str, times: int = 20) -> list[float]:
    """A reader drags the time cursor: from each request to its picture."""
    reader = Visitor(url, f"run={view_id}", steers=False)
    await reader.watch()
    last, found = max(reader.board.step, 2), []
    for n in range(2, 2 + times):
        began = time.perf_counter()
        await reader.board.ask(n, view_id, list(Visitor.PANELS), at=random.randrange(1, last))
        await reader.board.until(lambda n=n: reader.board.n == n)
        found.append(time.perf_counter() - began)
    await reader.close()
    return found


async def watchers(report: Report, server: Server, count: int, seconds: float) -> None:
    """Measures a run that many watch."""
    teacher = Visitor(server.url, _RUN, steers=True)
    await teacher.start()
    pupils = [Visitor(server.url, f"run={teacher.page.view_id}", steers=False) for _ in range(count)]
    opened = []
    for pupil in pupils:
        opened.append(await pupil.watch())
        await asyncio.sleep(_STAGGER_SECONDS)
    await asyncio.sleep(_WARM_SECONDS)
    process = psutil.Process(server.process.pid)
    before = {pupil: pupil.board.frames for pupil in pupils}
    received = sum(pupil.board.bytes for pupil in pupils)
    began, used = time.perf_counter(), sum(process.cpu_times()[:2])
    clicks, _ = await asyncio.gather(_clicks(teacher, began + seconds), asyncio.sleep(seconds))
    took = time.perf_counter() - began
    cpu = (sum(process.cpu_times()[:2]) - used) / took
    rates = [(pupil.board.frames - frames) / took for pupil, frames in before.items()]
    kilobytes = (sum(pupil.board.bytes for pupil in pupils) - received) / 1e3
    name = f"{count} watchers of one run"
    report.at_most(f"{name}: open, median, ms", 1e3 * statistics.median(opened), 300)
    report.at_most(f"{name}: open, largest, ms", 1e3 * max(opened), 2000)
    report.at_most(f"{name}: click of the teacher, median, ms", 1e3 * statistics.median(clicks), 150)
    report.at_most(f"{name}: click of the teacher, 95th percentile, ms", 1e3 * percentile(clicks, 0.95), 500)
    report.add(f"{name}: clicks", len(clicks))
    report.at_least(f"{name}: updates/s of the slowest", min(rates), 1)
    report.add(f"{name}: updates/s, median", statistics.median(rates))
    report.at_most(f"{name}: server CPU, cores", cpu, 0.5)
    report.add(f"{name}: kB an update", kilobytes / max(sum(rates) * took, 1))
    report.add(f"{name}: steps/s of the run", teacher.board.rate)
    report.add(f"{name}: memory of server and engines, MB", megabytes(process))
    errors = sorted({error for one in [teacher, *pupils] for error in one.errors})
    report.at_most(f"{name}: errors{': ' + errors[0] if errors else ''}", len(errors), 0)
    for pupil in pupils:
        await pupil.close()
    await teacher.click("Pause", "paused")
    await asyncio.sleep(2.0)
    scrubs = await _scrub(server.url, teacher.page.view_id)
    report.at_most("scrub on a quiet server, drag to picture, median, ms", 1e3 * statistics.median(scrubs), 100)
    await teacher.close()


def main() -> int:
    if "--soak" in sys.argv:
        return soak.main()
    report = Report("classroom")
    report.add("load of the machine before", os.getloadavg()[0])
    count = int(option("watchers", WATCHERS, _MOST_WATCHERS))
    sessions = int(option("sessions", classroom_sessions.SESSIONS, _MOST_WATCHERS))
    seconds = option("seconds", SECONDS, _MOST_SECONDS)
    with tempfile.TemporaryDirectory() as home, Server(Path(home), FOAM_VIZ_ENGINES="1") as server:
        if count:
            asyncio.run(watchers(report, server, count, seconds))
    if sessions:
        classroom_sessions.measure(report, sessions, seconds)
    report.add("load of the machine after", os.getloadavg()[0])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
