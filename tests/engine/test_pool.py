"""The pool outlives what goes wrong around it: no descriptors, crowds of callers, engines that fall silent."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from foam_viz.engine.server import pool as pools
from foam_viz.engine.server.pool import EnginePool
from foam_viz.engine.wire import protocol
from foam_viz.settings import Settings
from tests.engine.conftest import until


class FakeProcess:
    """Stands for the process of an engine: no torch is imported in these tests."""

    def __init__(self) -> None:
        self.pid, self.code = 0, None

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = -9

    terminate = kill

    def wait(self, timeout: float | None = None) -> int:
        self.code = 0 if self.code is None else self.code
        return self.code


class Watched:
    """A pool of one engine without a process, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        self.lost: list[tuple[int, int, str]] = []
        self.spawned: list[Any] = []
        self.refuse_to_spawn = 0
        monkeypatch.setattr(EnginePool, "_spawn", self._spawn)
        monkeypatch.setattr(pools, "_TEND_SECONDS", 0.05)
        monkeypatch.setattr(pools, "_RETRY_SECONDS", 0.1)
        self.pool = EnginePool(
            Settings(engines=1, **settings), self._on_message, lambda *lost: self.lost.append(lost), lambda: None
        )

    def _spawn(self, engine: Any) -> FakeProcess:
        if self.refuse_to_spawn:
            self.refuse_to_spawn -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        self.spawned.append(engine)
        return FakeProcess()

    def _on_message(self, engine: int, header: dict[str, Any], tables: dict[str, Any]) -> None:
        if header.get("type") == "bad":
            raise IndexError("list index out of range")
        self.messages.append(header)

    def call(self) -> Connection:
        engine = self.spawned[-1]
        return protocol.connect(self.pool.port, engine.identity, engine.key)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(monkeypatch, silent_seconds=1.0)
    yield made
    made.pool.close()


def test_a_process_that_cannot_be_started_is_tried_again(watched: Watched) -> None:
    watched.refuse_to_spawn = 3
    watched.spawned[0].process.kill()
    until(lambda: watched.lost == [(0, 1, "stopped unexpectedly")], 5)
    watched.pool.send(0, {"command": "kept"})  # while there is no process
    until(lambda: len(watched.spawned) == 2, 10)
    link = watched.call()
    assert protocol.receive(link)[0] == {"command": "kept"}
    assert watched.lost == [(0, 1, "stopped unexpectedly")]
    link.close()


def test_a_server_without_descriptors_at_the_start_gets_its_engines_later(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = iter([True, True, False])
    real = Watched._spawn

    def spawn(self: Watched, engine: Any) -> FakeProcess:
        self.refuse_to_spawn = int(next(refused, False))
        return real(self, engine)

    monkeypatch.setattr(Watched, "_spawn", spawn)
    watched = Watched(monkeypatch)
    try:
        until(lambda: watched.spawned, 10)
        watched.call().close()
    finally:
        watched.pool.close()


def test_a_failing_accept_passes(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = watched.pool._listener

    class Failing:
        left = 3

        def accept(self) -> tuple[socket.socket, Any]:
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return listener.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listener, name)

    failing = Failing()
    monkeypatch.setattr(watched.pool, "_listener", failing)
    socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()  # the accept at hand returns
    until(lambda: not failing.left, 10)
    link = watched.call()
    protocol.send(link, {"type": "hello"})
    until(lambda: watched.messages, 5)
    link.close()


def test_forty_slow_callers_do_not_keep_an_engine_out(watched: Watched) -> None:
    callers = [socket.create_connection(("127.0.0.1", watched.pool.port)) for _ in range(40)]
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.2):
            for caller in callers:
                try:
                    caller.send(b"x")
                except OSError:
                    continue

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        began = time.monotonic()
        link = watched.call()
        assert time.monotonic() - began < 3
        protocol.send(link, {"type": "hello"})
        until(lambda: watched.messages, 5)
        link.close()
    finally:
        done.set()
        thread.join()
        for caller in callers:
            caller.close()


def test_the_deadline_is_for_the_whole_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HANDSHAKE_SECONDS", 0.5)
    ours, theirs = socket.socketpair()
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.1):
            try:
                theirs.send(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with pytest.raises(protocol.HandshakeError):
        protocol.welcome(ours, {})
    assert time.monotonic() - began < 3
    done.set()
    thread.join()
    theirs.close()


def test_no_message_ends_the_reader(watched: Watched) -> None:
    link = watched.call()
    protocol.send(link, {"type": "bad"})
    protocol.send(link, {"type": "good"})
    until(lambda: [m["type"] for m in watched.messages] == ["good"], 5)
    assert not watched.lost
    link.close()


def test_an_engine_that_cannot_be_understood_is_replaced(watched: Watched) -> None:
    link = watched.call()
    link.send_bytes(b"no JSON")
    until(lambda: len(watched.spawned) == 2, 10)
    link.close()


def test_a_silent_engine_is_replaced(watched: Watched) -> None:
    link = watched.call()
    until(lambda: watched.lost, 10)
    assert watched.lost[0] == (0, 1, "was silent for 1 s")
    until(lambda: len(watched.spawned) == 2, 5)
    link.close()


def test_rows_that_a_dead_engine_had_sent_are_heard_first(watched: Watched) -> None:
    link = watched.call()
    for number in range(200):
        protocol.send(link, {"type": "rows", "number": number})
    watched.spawned[0].process.kill()
    link.close()
    until(lambda: watched.lost, 10)
    assert len(watched.messages) == 200


def test_an_engine_can_be_added_and_removed(watched: Watched) -> None:
    index = watched.pool.add()
    assert (index, watched.pool.own, len(watched.pool)) == (1, 1, 1)
    link = watched.call()
    until(lambda: watched.pool._engines[index].connection is not None)  # the pool has met it; before, it would be ended
    watched.pool.send(index, {"command": "drop"})
    watched.pool.remove(index)
    assert protocol.receive(link)[0] == {"command": "drop"}
    with pytest.raises((EOFError, OSError)):
        protocol.receive(link)
    assert watched.pool.own == 0
    assert not watched.lost
    link.close()


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_stopped_process_is_ended(tmp_path: Any) -> None:
    lost: list[tuple[int, int, str]] = []
    heard = threading.Event()
    pool = EnginePool(
        Settings(engines=1, data_directory=tmp_path, silent_seconds=2.0, device="cpu"),
        lambda *_: heard.set(),
        lambda *told: lost.append(told),
        lambda: None,
    )
    try:
        assert heard.wait(120)
        os.kill(pool.processes()[0], signal.SIGSTOP)
        until(lambda: lost, 30)
        assert "silent for 2 s" in lost[0][2]
    finally:
        pool.close()
