"""The tables of what is looked at, whole: as CSV, so that whoever takes numbers away has those that were recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from foam_viz.figures.scene import Lane
from foam_viz.ui.feed.protocol import Refused, is_source
from foam_viz.ui.feed.route import GuardedRoute, deny
from foam_viz.ui.feed.source import Gone
from foam_viz.ui.feed.sources import Sources

ADDRESS = "tables"
TABLES = ("steps", "checks", "snapshots", "events")
_BYTES = 2048
_ROWS = 20_000
"""Rows that are written at a time."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


class TablesRoute(GuardedRoute):
    """Answers with tables.

    Args:
        sources: What can be looked at.
    """

    def __init__(self, sources: Sources) -> None:
        super().__init__(_nothing, ADDRESS)
        self._sources = sources

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`foam_viz.ui.feed.route.GuardedRoute`."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await deny(405, "Tables are asked for with POST.", scope, receive, send)
            return
        try:
            source, table, at = _asked(await _body(Request(scope, receive)))
            lanes = await asyncio.to_thread(self._lanes, source, at)
        except Refused as error:
            await deny(400, str(error), scope, receive, send)
            return
        except Gone as error:
            await deny(404, str(error), scope, receive, send)
            return
        head = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        await StreamingResponse(written(lanes, table), media_type="text/csv", headers=head)(scope, receive, send)

    def _lanes(self, source: str, at: int | None) -> Sequence[Lane]:
        moment = self._sources.find(source).moment()
        return moment.lanes if at is None else moment.lanes_at(at)


async def _nothing(_: object) -> None:
    """Nobody is served through a WebSocket here."""


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BYTES:
            raise Refused(f"A request may have {_BYTES:,} bytes at most.")
    return body


def _asked(body: bytes) -> tuple[str, str, int | None]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or not given.keys() <= {"source", "table", "at"}:
        raise Refused("A request must be a JSON object with source, table and at.")
    source, table, at = given.get("source"), given.get("table"), given.get("at")
    if not is_source(source):
        raise Refused("source must be the id of a source.")
    if table not in TABLES:
        raise Refused(f"table must be one of {', '.join(TABLES)}.")
    if at is not None and (isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < 2**53):
        raise Refused("at must be a whole number from 0 on, or null.")
    return source, table, at


def written(lanes: Sequence[Lane], table: str) -> Iterator[bytes]:
    """A table of some runs as CSV, a piece at a time.

    Args:
        lanes: The runs.
        table: One of :data:`TABLES`.
    """
    parts = [_plain(lane, table) for lane in lanes]
    columns = list(dict.fromkeys(name for part in parts for name in part.column_names))
    yield (",".join(_quoted(name) for name in columns) + "\r\n").encode()
    rest = csv.WriteOptions(include_header=False, quoting_style="needed", eol="\r\n")
    for part in parts:
        whole = pa.table(
            {name: part[name] if name in part.column_names else pa.nulls(part.num_rows) for name in columns}
        )
        for start in range(0, part.num_rows, _ROWS):
            sink = pa.BufferOutputStream()
            csv.write_csv(whole.slice(start, _ROWS), sink, rest)
            yield sink.getvalue().to_pybytes()


def _plain(lane: Lane, table: str) -> pa.Table:
    """The rows of a run with its name and those of factors, all columns numbers or text."""
    rows = lane.trace.table(table)
    made = {"run": pa.array([_text(lane.label)] * rows.num_rows, pa.string())}
    for name in rows.column_names:
        values = rows[name]
        kind = values.type
        if pa.types.is_binary(kind):
            continue
        if pa.types.is_list(kind):
            values = pa.array(
                [None if one is None else " ".join(map(repr, one)) for one in values.to_pylist()], pa.string()
            )
        elif pa.types.is_dictionary(kind):
            values = values.cast(pa.string())
        elif pa.types.is_string(kind):
            values = pa.array([None if one is None else _text(one) for one in values.to_pylist()], pa.string())
        made[name] = values
        if name == "factor":
            names = pa.array([_text(factor.text) for factor in lane.trace.manifest.factor_names], pa.string())
            named = pc.call_function("less", [values, pa.scalar(len(names), values.type)])
            known = pc.call_function("if_else", [named, values, pa.scalar(None, values.type)])
            made["factor_name"] = pc.take(names, known.combine_chunks()) if len(names) else pa.nulls(rows.num_rows)
    return pa.table(made)


def _text(text: str) -> str:
    """Text that no spreadsheet runs."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _quoted(name: str) -> str:
    name = _text(name)
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\r\n') else name
