"""The wire between hub and engines: JSON headers and Arrow IPC over ``multiprocessing.connection``, no pickle.

A message is one JSON header and, for each table it names, one Arrow IPC stream. The engine connects to the hub on
the loopback address; both prove that they hold the key that the hub wrote to the engine's standard input.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

MAXIMUM_BYTES = 256 * 2**20
HANDSHAKE_SECONDS = 5.0
_NONCE, _IDENTITY, _PROOF = 32, 16, 32


class HandshakeError(ConnectionError):
    """The other side did not prove that it holds the key, or was silent for too long."""


def send(connection: Connection, header: Mapping[str, Any], tables: Mapping[str, pa.Table] | None = None) -> None:
    """Sends one message; the caller holds the connection's lock if several threads send."""
    tables = tables or {}
    connection.send_bytes(json.dumps({**header, "tables": list(tables)}, allow_nan=False).encode())
    for table in tables.values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        connection.send_bytes(sink.getvalue())


def receive(connection: Connection) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Receives one message.

    Raises:
        EOFError, OSError: The other side is gone.
    """
    header = json.loads(connection.recv_bytes(MAXIMUM_BYTES))
    tables = {
        name: pa.ipc.open_stream(connection.recv_bytes(MAXIMUM_BYTES)).read_all() for name in header.pop("tables")
    }
    return header, tables


def _read(link: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        try:
            # The time is for all of it: a caller that sends a byte now and then must not hold a thread for minutes.
            link.settimeout(max(deadline - time.monotonic(), 1e-3))
            part = link.recv(size - len(data))
        except OSError as error:
            raise HandshakeError(f"no answer within {HANDSHAKE_SECONDS:g} s") from error
        if not part:
            raise HandshakeError("the other side closed the connection")
        data += part
    return data


def _proof(key: bytes, role: bytes, nonce: bytes) -> bytes:
    return hmac.new(key, role + nonce, hashlib.sha256).digest()


def welcome(link: socket.socket, keys: Mapping[bytes, bytes]) -> tuple[bytes, Connection]:
    """The hub's side of the handshake: ``keys`` maps an engine's identity (16 bytes) to its key.

    Blocks for at most :data:`HANDSHAKE_SECONDS`, so it runs in a thread of its own per caller.

    Raises:
        HandshakeError: A stranger, or silence.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    try:
        link.settimeout(HANDSHAKE_SECONDS)
        nonce = os.urandom(_NONCE)
        link.sendall(nonce)
        identity = _read(link, _IDENTITY, deadline)
        proof, their_nonce = _read(link, _PROOF, deadline), _read(link, _NONCE, deadline)
        key = keys.get(identity)
        if key is None or not hmac.compare_digest(proof, _proof(key, b"engine", nonce)):
            raise HandshakeError("the key is wrong")
        link.sendall(_proof(key, b"hub", their_nonce))
    except BaseException:
        link.close()
        raise
    link.setblocking(True)
    return identity, Connection(link.detach())


def connect(port: int, identity: bytes, key: bytes) -> Connection:
    """The engine's side of the handshake.

    Raises:
        HandshakeError, OSError: The hub is not there, or is not the hub.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    link = socket.create_connection(("127.0.0.1", port), timeout=HANDSHAKE_SECONDS)
    try:
        nonce, ours = _read(link, _NONCE, deadline), os.urandom(_NONCE)
        link.sendall(identity + _proof(key, b"engine", nonce) + ours)
        if not hmac.compare_digest(_read(link, _PROOF, deadline), _proof(key, b"hub", ours)):
            raise HandshakeError("the hub's key is wrong")
    except BaseException:
        link.close()
        raise
    link.setblocking(True)
    return Connection(link.detach())
