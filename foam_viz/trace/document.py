"""The tables of ``docs/trace.md``, from the schema: ``python -m foam_viz.trace.document docs/trace.md`` renews them."""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pyarrow as pa

from foam_viz.trace.manifest import FactorInfo, Manifest
from foam_viz.trace.schema import LARGEST_COUNT, LARGEST_REAL, LARGEST_STEP, TABLES, Column, TableSchema

_SECTION = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def sections() -> dict[str, str]:
    """Return each generated section of the document by name, as Markdown."""
    generated = {f"table {table.name}": _table(table) for table in TABLES.values()}
    return {**generated, "manifest": _record(Manifest), "factor": _record(FactorInfo)}


def renew(text: str) -> str:
    """Return the document with every generated section made afresh.

    Raises:
        KeyError: The document asks for a section that does not exist.
    """
    made = sections()
    return _SECTION.sub(lambda match: match[1] + made[match[2]] + match[3], text)


def _table(table: TableSchema) -> str:
    lines = ["| column | type | unit | range | null? | meaning |", "|---|---|---|---|---|---|"]
    for column in table.columns:
        nullable = "never" if column.required else "yes"
        cells = (f"`{column.name}`", _type_word(column.type), column.unit, _range(column), nullable, column.meaning)
        lines.append("| " + " | ".join(cells) + " |")
    return f"{table.meaning}\n\n" + "\n".join(lines) + "\n"


def _record(record: type[Manifest] | type[FactorInfo]) -> str:
    lines = ["| key | type | if missing | meaning |", "|---|---|---|---|"]
    for item in fields(record):
        if "meaning" not in item.metadata:
            continue
        required = item.default is MISSING and item.default_factory is MISSING
        missing = "an error" if required or item.name == "schema_version" else _default_word(item.default)
        lines.append(f"| `{item.name}` | {_json_type(str(item.type))} | {missing} | {item.metadata['meaning']} |")
    return "\n".join(lines) + "\n"


def _range(column: Column) -> str:
    if pa.types.is_string(column.type):
        return f"at most {column.most:,} characters" if column.most else ""
    if column.name == "factor":
        return "the manifest's"
    if column.least is None:
        return ""
    words = {LARGEST_STEP: "2^53 - 1", LARGEST_COUNT: "2^31 - 1", LARGEST_REAL: "1e100", -LARGEST_REAL: "-1e100"}
    return " to ".join(words.get(limit, f"{limit:,}") for limit in (column.least, column.most))


def _type_word(data_type: pa.DataType) -> str:
    words = {pa.float64(): "float64", pa.list_(pa.float32()): "list of float32", pa.list_(pa.int32()): "list of int32"}
    return words.get(data_type, "dictionary of string" if pa.types.is_dictionary(data_type) else str(data_type))


def _json_type(annotation: str) -> str:
    words = {
        "int": "whole number",
        "str": "text",
        "bool": "true or false",
        "int | None": "whole number or null",
        "float | None": "number or null",
    }
    words |= {
        "tuple[str, ...]": "list of text",
        "tuple[FactorInfo, ...]": "list of factors",
        "tuple[Mapping[str, Any], ...]": "list of objects",
    }
    return words.get(annotation, "object")


def _default_word(default: object) -> str:
    words = {None: "null", False: "false", "": "empty", (): "empty", MISSING: "empty"}
    return words.get(default, f"`{default}`")


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renew(document.read_text(encoding="utf-8")), encoding="utf-8")
