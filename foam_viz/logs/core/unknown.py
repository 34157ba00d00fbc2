"""What a file is that no reader takes: another kind by its first bytes, a damaged log, or a log without values."""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Callable

from foam_viz.logs.core.damage import parsed_json
from foam_viz.logs.core.reader import LogError, LogFile, Problem
from foam_viz.logs.parsing.text_lines import decode, looks_like_text

_LARGEST = 8 << 20
_EXPORT = "export its numbers as CSV, JSON lines or Parquet"
_UNPACK = "unpack it and give what is in it, or pack it as zip or tar.gz"
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", _EXPORT),
    (b"\xff\xd8\xff", "a JPEG picture", _EXPORT),
    (b"GIF8", "a GIF picture", _EXPORT),
    (b"%PDF", "a PDF document", _EXPORT),
    (b"7z\xbc\xaf'\x1c", "a 7z archive, which is not opened", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive, which is not opened", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, which is not opened", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4, which is not opened", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
    (b"ARROW1", "an Arrow or Feather file", "write it as Parquet or CSV"),
    (b"MATLAB", "a MATLAB file", _EXPORT),
    (b"\x93NUMPY", "an array of numpy, without names of its columns", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "an old office document", _EXPORT),
    (b"OBJ", "an Avro file", _EXPORT),
    (b"\x7fELF", "a program", ""),
)
_OFFICE = re.compile(rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|mimetype)", re.DOTALL)
_NUMPY = re.compile(rb"PK\x03\x04.{26}[^/]{1,200}\.npy", re.DOTALL)
_SAFETENSORS = re.compile(rb'.{8}\{"', re.DOTALL)
_STARTS = {
    ".zip": "PK", ".gz": r"\x1f\x8b", ".tgz": r"\x1f\x8b", ".bz2": "BZh", ".xz": r"\xfd7zXZ", ".parquet": "PAR1",
    ".db": "SQLite format 3", ".sqlite": "SQLite format 3", ".npz": "PK", ".npy": r"\x93NUMPY",
}  # fmt: skip


def problem_of(file: LogFile) -> Problem | None:
    """Return what can be said of a file that nobody claims; None where nothing is known."""
    for find in (_emptied, _another_kind, _wrong_name, _damaged_text):
        if (found := find(file)) is not None:
            return Problem(file.name, *found)
    return None


_Found = tuple[str, str, str] | None


def _emptied(file: LogFile) -> _Found:
    if not file.head.strip(b"\0"):
        return "byte 0", "holds only zero bytes, as a crash or a download that broke off leaves", "copy it again"
    if not file.head.strip() and file.size <= len(file.head):
        return "", "holds only blanks and line breaks", "nothing was written to it, or it was not copied whole"
    return None


def _another_kind(file: LogFile) -> _Found:
    for magic, words, remedy in _KINDS:
        if file.head.startswith(magic):
            return "", f"is {words}, not a log", remedy
    if _OFFICE.match(file.head):
        return "", "is an office document (a workbook, a text or slides), not a log", "save the sheet as CSV"
    if _NUMPY.match(file.head):
        return "", "is an archive of numpy arrays, which is not read", _EXPORT
    if file.name.endswith(".safetensors") and _SAFETENSORS.match(file.head):
        return "", "holds weights (safetensors), not a log", ""
    return None


def _wrong_name(file: LogFile) -> _Found:
    expected = next((start for suffix, start in _STARTS.items() if file.name.lower().endswith(suffix)), None)
    if expected is None:
        return None
    what = "is text" if looks_like_text(file.head) else "is not what its name says"
    reason = f"{what}: expected {expected} at its start, found {bytes(file.head[:12])!r}"
    return "byte 0", reason, "give the file under the name of its kind, or copy it again"


def _damaged_text(file: LogFile) -> _Found:
    if not looks_like_text(file.head) or file.size > _LARGEST:
        return None
    text = decode(file.path.read_bytes())[0]
    start, name = text.lstrip()[:1], file.name.lower()
    if start == "<":
        return _xml(text)
    checks: tuple[tuple[bool, Callable[[LogFile, str], _Found]], ...] = (
        (start in ("{", "[") or name.endswith((".json", ".ipynb")), _json),
        (name.endswith((".yaml", ".yml")), _yaml),
        (name.endswith((".csv", ".tsv")), _table),
    )
    return next((found for fits, check in checks if fits and (found := check(file, text)) is not None), None)


def _json(file: LogFile, text: str) -> _Found:
    try:
        parsed_json(file, text)
    except LogError as error:
        return error.problem.place, error.problem.reason, error.problem.remedy
    return "", "is JSON in which no list of records or of numbers stands", "a log needs several values of a metric"


def _yaml(file: LogFile, text: str) -> _Found:
    import yaml  # late: most logs need none

    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1:,}, column {mark.column + 1:,}" if mark else ""
        return place, f"is not valid YAML: {error.problem or error.context}", "write the file again, or mend it there"
    except (yaml.YAMLError, RecursionError) as error:
        return "", f"is not valid YAML: {str(error).splitlines()[0][:200]}", "write the file again"
    return None


def _xml(text: str) -> _Found:
    if re.match(r"\s*<(?:!doctype\s+html|html)", text, re.IGNORECASE):
        return (
            "",
            "is a web page, not a log: a download that needed a login, or a page that was not found",
            "download it again",
        )
    parser = xml.parsers.expat.ParserCreate()
    # What it declares is not expanded: a few lines could stand for gigabytes.
    parser.EntityDeclHandler = _no_entities
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except xml.parsers.expat.ExpatError as error:
        place = f"line {error.lineno:,}, column {error.offset + 1:,}"
        return place, f"is not valid XML: {xml.parsers.expat.ErrorString(error.code)}", _EXPORT
    except ValueError:
        pass
    return "", "is XML, which is not read", _EXPORT


def _no_entities(*_: object) -> None:
    raise ValueError("entities are not read")


def _table(file: LogFile, text: str) -> _Found:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        return "line 1", "has a header and no row behind it", "nothing was logged yet, or it was not copied whole"
    return None
