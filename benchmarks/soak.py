"""A class that stays for an hour: what server and engines take of the memory must not grow.

Thirty pages with a run each; every page starts its run at one step a second, looks, pauses, goes on, looks back, and
takes a new run now and then. Memory is read once a minute; the growth is that of the last five minutes over the five
that follow the first ten. ``--minutes=M`` makes it shorter, and says so. Loopback only.
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

from benchmarks.classroom_figures import megabytes, option
from benchmarks.report import Report
from benchmarks.server import Server
from benchmarks.visitors import Visitor

SESSIONS, MINUTES = 30, 60.0
_MOST_SESSIONS, _MOST_MINUTES = 60, 120.0
_QUERY = "lane=foam&lane=shampoo&steps_per_second=1"
_RUN_SECONDS = (180.0, 360.0)
_LOOK_SECONDS = (5.0, 20.0)


async def _stay(visitor: Visitor, end: float) -> None:
    """One page until the end: runs one after the other, each paused, continued and looked back at."""
    await visitor.start()
    renew = time.monotonic() + random.uniform(*_RUN_SECONDS)
    n = 1000
    while (now := time.monotonic()) < end:
        await asyncio.sleep(random.uniform(*_LOOK_SECONDS))
        await visitor.click("Pause", "paused")
        if visitor.board.step > 2:
            n += 2
            look = {"at": random.randrange(1, visitor.board.step)}
            await visitor.board.ask(n, visitor.page.view_id, list(Visitor.PANELS), **look)
            await asyncio.sleep(1.0)
            await visitor.board.ask(n + 1, visitor.page.view_id, list(Visitor.PANELS))
        if now > renew:
            renew = now + random.uniform(*_RUN_SECONDS)
            before = visitor.page.view_id
            await visitor.page.press("Reset")
            async with asyncio.timeout(60):
                while visitor.page.view_id == before:  # an earlier request may have ended first
                    await asyncio.sleep(0.05)
            n += 2
            await visitor.board.ask(n, visitor.page.view_id, list(Visitor.PANELS))
            await asyncio.sleep(1.0)
        await visitor.click("Start", "training")


async def _weigh(server: Server, end: float) -> list[tuple[float, float]]:
    """Memory of the server, and of it and its engines, in MB, once in a while until the end."""
    found, process = [], psutil.Process(server.process.pid)
    while time.monotonic() < end:
        found.append((process.memory_info().rss / 1e6, megabytes(process)))
        await asyncio.sleep(15.0)
    return found


def _level(weights: list[tuple[float, float]]) -> tuple[float, float]:
    alone, together = (statistics.median(column) for column in zip(*weights, strict=True))
    return alone, together


async def soak(report: Report, server: Server, count: int, minutes: float) -> None:
    """Measures the growth of the memory; ``report`` gets the figures."""
    end = time.monotonic() + 60 * minutes
    everybody = [Visitor(server.url, _QUERY, steers=True) for _ in range(count)]
    stays = [asyncio.create_task(_stay(visitor, end)) for visitor in everybody]
    weights = await _weigh(server, end)
    ended = await asyncio.gather(*stays, return_exceptions=True)
    errors = sorted({repr(one) for one in ended if isinstance(one, BaseException)})
    errors += sorted({error for visitor in everybody for error in visitor.errors})
    part = max(1, len(weights) // 12)
    (server_begins, begins), (server_ends, ends) = _level(weights[2 * part : 3 * part]), _level(weights[-part:])
    name = f"soak of {minutes:g} min, {count} pages"
    report.add(f"{name}: memory after a sixth of it, MB", begins)
    report.add(f"{name}: of it the server, MB", server_begins)
    report.add(f"{name}: memory at its end, MB", ends)
    report.add(f"{name}: of it the server, MB, at its end", server_ends)
    report.at_most(f"{name}: growth, %", 100 * (ends / begins - 1), 5)
    report.add(f"{name}: scripts run", sum(visitor.page.runs for visitor in everybody))
    report.at_most(f"{name}: errors{': ' + errors[0][:200] if errors else ''}", len(errors), 0)
    for visitor in everybody:
        await visitor.close()


def main() -> int:
    report = Report("soak")
    report.add("load of the machine before", os.getloadavg()[0])
    count = int(option("sessions", SESSIONS, _MOST_SESSIONS))
    minutes = option("minutes", MINUTES, _MOST_MINUTES)
    settings = {"FOAM_VIZ_ENGINES": "1", "FOAM_VIZ_MAXIMUM_RUNS": str(count + 4)}
    with tempfile.TemporaryDirectory() as home, Server(Path(home), **settings) as server:
        asyncio.run(soak(report, server, count, minutes))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
