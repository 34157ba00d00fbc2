"""The wire: messages survive it, strangers do not."""

from __future__ import annotations

import socket
import threading

import pyarrow as pa
import pytest

from foam_viz.engine.wire import protocol


def pair(keys: dict[bytes, bytes], identity: bytes, key: bytes) -> tuple:
    """Both ends of a handshake over a real socket: (engine's end or error, hub's end or error)."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends: dict[str, object] = {}

    def hear() -> None:
        link, _ = listener.accept()
        try:
            ends["hub"] = protocol.welcome(link, keys)[1]
        except protocol.HandshakeError as error:
            ends["hub"] = error

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        ends["engine"] = protocol.connect(listener.getsockname()[1], identity, key)
    except protocol.HandshakeError as error:
        ends["engine"] = error
    thread.join(10)
    listener.close()
    return ends["engine"], ends["hub"]


IDENTITY, KEY = b"i" * 16, b"k" * 32


def test_a_message_crosses_whole() -> None:
    engine, hub = pair({IDENTITY: KEY}, IDENTITY, KEY)
    table = pa.table({"step": [1, 2, 3], "loss": [0.5, float("nan"), float("inf")]})
    big = pa.table({"x": pa.array(range(300_000))})
    sender = threading.Thread(target=protocol.send, args=(engine, {"type": "rows", "n": 3}, {"a": table, "b": big}))
    sender.start()
    header, tables = protocol.receive(hub)
    sender.join()
    assert header == {"type": "rows", "n": 3}
    assert str(tables["a"].to_pydict()) == str(table.to_pydict())
    assert tables["b"].num_rows == 300_000
    engine.close()
    with pytest.raises(EOFError):
        protocol.receive(hub)
    hub.close()


@pytest.mark.parametrize(("identity", "key"), [(IDENTITY, b"x" * 32), (b"j" * 16, KEY)])
def test_a_stranger_is_refused(identity: bytes, key: bytes) -> None:
    engine, hub = pair({IDENTITY: KEY}, identity, key)
    assert isinstance(engine, protocol.HandshakeError)
    assert isinstance(hub, protocol.HandshakeError)


def test_silence_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HANDSHAKE_SECONDS", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    silent = socket.create_connection(listener.getsockname())
    link, _ = listener.accept()
    with pytest.raises(protocol.HandshakeError, match="no answer"):
        protocol.welcome(link, {IDENTITY: KEY})
    silent.close()
    listener.close()
