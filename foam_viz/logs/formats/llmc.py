"""Logs of llm.c: ``s:N trl:… lr:… norm:…`` for training, ``s:N tel:…`` for validation, ``s:N eval:…`` for HellaSwag."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.cells import parse_column
from foam_viz.logs.parsing.table_model import Table
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text, were
from foam_viz.trace import Trace

_LINE = re.compile(r"s:(\d{1,15}) +((?:[a-z_]{1,20}:\S{1,40} *)+)$")
_PAIR = re.compile(r"([a-z_]{1,20}):(\S{1,40})")
_MARK = re.compile(rb"^s:\d+ +(?:trl|tel|eval):", re.MULTILINE)


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim text files with at least two such lines."""
    return [(file,) for file in files if looks_like_text(file.head) and len(_MARK.findall(file.head)) >= 2]


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: It holds no number.
    """
    (file,) = group
    text = LogText.of(file)
    steps: list[float] = []
    cells: dict[str, list[str | None]] = {}
    other = 0
    for _, line in text.lines():
        found = _LINE.match(line.strip())
        pairs = _PAIR.findall(found[2]) if found else []
        if found is None or len(dict(pairs)) < len(pairs):  # a key told twice: two lines that became one
            other += bool(line.strip())
            continue
        steps.append(float(found[1]))
        for key, value in pairs:
            column = cells.setdefault(key, [])
            column += [None] * (len(steps) - 1 - len(column))
            column.append(value)
    table = Table([Series("s", np.array(steps))], notes=[*text.notes, *text.length_notes()])
    for key, column in cells.items():
        parsed = parse_column(key, column + [None] * (len(steps) - len(column)))
        if parsed is None:
            table.notes.append(f"{key!r} was left out: it holds no numbers.")
            continue
        one = parsed.series
        table.series.append(Series(key, one.values, one.missing, "fraction", one.samples) if key == "eval" else one)
        table.notes += parsed.notes
    if other:
        table.notes.append(f"{were(other, 'line')} passed over as not of the form s:N key:value.")
    if "eval" in cells:
        table.notes.append("'eval' is the accuracy on HellaSwag, a fraction.")
    if "lr" in cells:
        table.notes.append("The learning rate was logged with six decimals; small ones are rounded, to 0 at the end.")
    table.series[0] = Series("step", table.series[0].values)
    return traces_of_tables([table], group, READER.name, options)


READER = Reader(
    name="llm.c",
    label="llm.c log",
    summary="s:N lines: trl is the training loss, tel the held-out loss; learning rate and gradient norm where logged.",
    find=find,
    read=read,
)
