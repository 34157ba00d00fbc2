"""A class that follows: one presenter moves the time, thirty students see the picture; ``--students=30 --seconds=60``.

The server of the class and of the feed runs in a process of its own, without Streamlit. Students speak to both sockets
as a page does: each moment that the presenter shows is asked of the feed, and counts once its frame has arrived.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
import zlib
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

LIMITS = {"median, ms": 100.0, "95th percentile, ms": 500.0, "server CPU, cores": 0.5}
PANELS = ("loss", "overlap")
_EVERY = 0.5
"""Seconds between two moments."""


def serve(pipe: Any, students: int) -> None:
    """Serve one class until the pipe is told to end."""
    from types import SimpleNamespace

    import uvicorn
    from starlette.applications import Starlette

    from foam_viz.lessons.catalogue import BY_ID
    from foam_viz.ui.classroom.room import Rooms, Shown
    from foam_viz.ui.classroom.socket import ADDRESS, ClassSocket
    from foam_viz.ui.feed.feed import Feed
    from foam_viz.ui.feed.route import GuardedRoute
    from foam_viz.ui.feed.sources import Sources
    from foam_viz.ui.lessons import parts

    lesson = BY_ID["how-stale"]
    feed, rooms = Feed(Sources(lambda: None)), Rooms()
    room = rooms.open("presenter", Shown(lesson.id, panels=PANELS))
    source = feed.sources.share("following", lambda name: parts._source(name, lesson, 0, PANELS))
    socket = ClassSocket(rooms, lambda: SimpleNamespace(held=list))
    routes = [GuardedRoute(feed.serve), GuardedRoute(socket.serve, ADDRESS)]
    # The feed's own tasks wait for pages that may come again: the end of the class waits for them no longer than this.
    config = uvicorn.Config(
        Starlette(routes=routes),
        port=0,
        log_config=None,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        numbers = [room.join(f"browser {place}") for place in range(students)]
        pipe.send({"port": port, "class": room.code, "key": room.key, "students": numbers, "source": source})
        await asyncio.to_thread(pipe.recv)
        server.should_exit = True
        await serving

    asyncio.run(run())


async def follow(told: dict, student: str, sent: dict[int | None, float], waits: list[float]) -> None:
    """Be a student: ask the feed for each moment of the presenter, and note how long it took from there to here."""
    base = f"ws://127.0.0.1:{told['port']}"
    async with connect(f"{base}/class") as room, connect(f"{base}/feed", max_size=None) as feed:
        await room.send(json.dumps({"class": told["class"], "student": student}))
        n = 0
        have: dict[str, str] = {}
        async for message in room:
            state = json.loads(message)
            at = state.get("at")
            if state.get("ended") or at not in sent:
                continue
            n += 1
            request = {"n": n, "source": told["source"], "look": {"at": at}, "panels": list(PANELS), "have": have}
            await feed.send(json.dumps(request))
            have = await _picture(feed, n)
            waits.append(time.monotonic() - sent[at])


async def _picture(feed: ClientConnection, n: int) -> dict[str, str]:
    """Wait for the frame that answers a request; returns the revisions that it holds."""
    while True:
        frame = json.loads(zlib.decompress(await feed.recv()))
        await feed.send(json.dumps({"got": frame["k"]}))
        if frame["n"] == n:
            return {panel["id"]: panel["revision"] for panel in frame["panels"] if "revision" in panel}


async def present(told: dict, seconds: float, sent: dict[int | None, float]) -> int:
    """Move the time, twice a second; returns the moments shown."""
    async with connect(f"ws://127.0.0.1:{told['port']}/class") as room:
        await room.send(json.dumps({"class": told["class"], "key": told["key"]}))
        reading = asyncio.create_task(_read(room))
        end, step = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            step = step % 590 + 7
            sent[step] = time.monotonic()
            await room.send(json.dumps({"at": step}))
            await asyncio.sleep(_EVERY)
        reading.cancel()
        return len(sent)


async def _read(room: ClientConnection) -> None:
    """Take what the class tells its presenter: a connection that nobody reads hears no answer to its pings either."""
    async for _ in room:
        pass


async def _class(told: dict, seconds: float) -> list[float]:
    sent: dict[int | None, float] = {}
    waits: list[float] = []
    students = [asyncio.create_task(follow(told, student, sent, waits)) for student in told["students"]]
    await asyncio.sleep(2.0)
    await present(told, seconds, sent)
    await asyncio.sleep(1.0)
    for student in students:
        student.cancel()
    ended = await asyncio.gather(*students, return_exceptions=True)
    lost = [error for error in ended if isinstance(error, Exception)]
    if lost:
        raise lost[0]
    return waits


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    options = dict(item.removeprefix("--").partition("=")[::2] for item in told if item.startswith("--"))
    students, seconds = int(options.get("students", 30)), float(options.get("seconds", 60))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, students), daemon=True)
    process.start()
    known = here.recv()
    cpu = psutil.Process(process.pid)
    before, began = sum(cpu.cpu_times()[:2]), time.monotonic()
    waits = [1000 * wait for wait in asyncio.run(_class(known, seconds))]
    used = (sum(cpu.cpu_times()[:2]) - before) / (time.monotonic() - began)
    here.send("end")
    process.join(20)
    if process.is_alive():  # a daemon is only asked to end, and the server hears nothing any more
        process.kill()
    figures = {
        "median, ms": median(waits),
        "95th percentile, ms": quantiles(waits, n=20)[-1],
        "server CPU, cores": used,
    }
    missed = 0
    for name, value in figures.items():
        missed += value > LIMITS[name]
        print(f"  {'ok    ' if value <= LIMITS[name] else 'MISSED'} {name}: {value:.3g} (limit {LIMITS[name]:g})")
    print(f"  {students} students, {len(waits)} pictures in {seconds:g} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
