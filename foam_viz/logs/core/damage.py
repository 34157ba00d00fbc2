"""Where a file is damaged: the place, what was expected there and what stands there instead."""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foam_viz.logs.core.reader import LogError, LogFile
from foam_viz.logs.intake.limits import MOST_CELLS
from foam_viz.trace.disk import strict_json
from foam_viz.trace.visible import visible_json

_PIECE = 4096
_SHOWN = 12
_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
}


def parsed_json(file: LogFile, text: str, remedy: str = "write the file again, or mend it there") -> Any:
    """Parse a JSON document, with Python's NaN and Infinity; a lone surrogate in a text becomes ``?``.

    Raises:
        LogError: It is not JSON; the place is line, column and byte.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise file.problem("", "is nested too deeply", "a log needs a list of records or of numbers") from None
    except json.JSONDecodeError as error:
        place, reason = strict_json.place_and_reason(error)
        raise file.problem(place, f"is not valid JSON: {reason}", remedy) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise file.problem("", f"is not valid JSON: {str(error).partition(';')[0]}", remedy) from None
    return visible_json(value) if "\\ud" in text or "\\uD" in text else value


def of_compressed(path: Path, done: int) -> tuple[int, bytes, str]:
    """Find the place where a gzip, bzip2 or xz file goes wrong.

    Args:
        path: The file.
        done: Unpacked bytes that are known to be right.

    Returns:
        The byte of the file at which unpacking fails, what comes out behind ``done`` before that, and why it fails.
    """
    data = path.read_bytes()
    make = next(make for magic, make in _DECOMPRESSORS.items() if data.startswith(magic))
    decompressor, position, count, rest = make(), 0, 0, bytearray()
    size = _PIECE
    while position < len(data):
        piece = data[position : position + size]
        saved = decompressor.copy() if hasattr(decompressor, "copy") and size > 1 else None
        try:
            out = decompressor.decompress(piece)
        except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            if saved is not None:  # once more byte by byte, to learn which one it is and to lose nothing before it
                decompressor, size = saved, 1
                continue
            return position, bytes(rest), _words(error)
        rest += out[max(0, done - count) :]
        count += len(out)
        position += len(piece)
        if decompressor.eof:
            position -= len(decompressor.unused_data)
            if not data[position:].strip(b"\0"):
                return position, bytes(rest), ""
            decompressor = make()
    return len(data), bytes(rest), "the file ends inside a compressed block, so it is cut off"


def of_zip(path: Path) -> tuple[str, str]:
    """Say where a zip file without a list of its members breaks off: place and reason."""
    data = path.read_bytes()
    end = data.rfind(b"PK\5\6")
    if end < 0:
        last = data.rfind(b"PK\3\4")
        name = data[last + 30 : last + 30 + int.from_bytes(data[last + 26 : last + 28], "little")]
        member = (
            f"; the last member that begins, at byte {last:,}, is {name.decode('utf-8', 'replace')!r}" if name else ""
        )
        return f"byte {len(data):,}", f"ends without the list of its members (PK 5 6), so it is cut off{member}"
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    found = data[start : start + 4]
    if found != b"PK\1\2":
        return f"byte {start:,}", f"expected the list of members (PK 1 2), found {_shown(found)}"
    return f"byte {start:,}", "the list of members is damaged"


def of_parquet(file: LogFile) -> LogError:
    """Return the error that says where a Parquet file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet

    remedy = "copy it again, or write it again where it comes from"
    with file.path.open("rb") as stream:
        stream.seek(max(0, file.size - 8))
        tail = stream.read()
    if tail[-4:] != b"PAR1":
        reason = f"expected PAR1 at the end of the file, found {_shown(tail[-4:])}: it is cut off"
        return file.problem(f"byte {file.size - 4:,}", f"is a damaged Parquet file: {reason}", remedy)
    length = int.from_bytes(tail[:4], "little")
    start = file.size - 8 - length
    if start < 4:
        reason = f"a footer of {length:,} bytes is stated, and the file has {file.size:,}"
        return file.problem(f"byte {file.size - 8:,}", f"is a damaged Parquet file: {reason}", remedy)
    try:
        source = pyarrow.parquet.ParquetFile(file.path)
    except (pa.ArrowException, OSError, ValueError) as error:
        place = f"the footer, byte {start:,} to {file.size - 8:,}"
        return file.problem(place, f"is a damaged Parquet file: {_words(error)}", remedy)
    with source:
        for group in range(source.metadata.num_row_groups):
            for column in range(source.metadata.num_columns):
                chunk = source.metadata.row_group(group).column(column)
                name = chunk.path_in_schema
                if chunk.num_values > MOST_CELLS:
                    continue
                try:
                    source.read_row_group(group, [name])
                except (pa.ArrowException, OSError, ValueError) as error:
                    page = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
                    place = f"row group {group + 1:,}, column {name}, from byte {page:,}"
                    return file.problem(place, f"is a damaged Parquet file: {_words(error)}", remedy)
    return file.problem("", "is a damaged Parquet file", remedy)


def of_sqlite(file: LogFile, error: Exception, remedy: str) -> LogError:
    """Return the error that says where an SQLite database is damaged."""
    header = file.head[:100]
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    place, reason = "", str(error)
    if len(header) < 100:
        place, reason = f"byte {file.size:,}", "it ends inside its header of 100 bytes, so it is cut off"
    elif page < 512 or page & (page - 1):
        place, reason = "byte 16", f"a page size of {page:,} is stated; it is a power of two from 512"
    elif pages * page > file.size:
        place = f"byte {file.size:,}"
        reason = f"it ends there, and its header states {pages:,} pages of {page:,} bytes: it is cut off"
    else:
        kinds = (2, 5, 10, 13)
        bad = next((n for n in range(pages) if n < 2 and not _is_page(file, n, page, kinds)), None)
        if bad is not None:
            place = f"page {bad + 1:,}, byte {bad * page + (100 if bad == 0 else 0):,}"
            reason = f"expected a page of a table or an index: {reason}"
    return file.problem(place, f"is a damaged SQLite database: {reason}", remedy)


def _is_page(file: LogFile, number: int, size: int, kinds: tuple[int, ...]) -> bool:
    with file.path.open("rb") as stream:
        stream.seek(number * size + (100 if number == 0 else 0))
        return (stream.read(1) or b"\0")[0] in kinds


def _shown(found: bytes) -> str:
    return f"{bytes(found[:_SHOWN])!r}" if found else "nothing"


def _words(error: BaseException) -> str:
    words = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return words.removeprefix("Error -3 while decompressing data: ")
