"""Tables of any program: CSV and its kin, JSON, JSON lines, Parquet; a column of steps and columns of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from foam_viz.logs.core.column_names import role_of
from foam_viz.logs.core.epochs import Planned
from foam_viz.logs.core.labels import spread
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import optimizer_of, run_id, run_name
from foam_viz.logs.core.reader import Group, LogError, LogFile, Options, Reader
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats.run_tables import identity_of, names_runs, trace_of_runs
from foam_viz.logs.parsing.arrow_columns import read_parquet
from foam_viz.logs.parsing.dialect import find_dialect
from foam_viz.logs.parsing.json_tables import looks_like_json_lines, read_json
from foam_viz.logs.parsing.table_files import read_delimited
from foam_viz.logs.parsing.table_model import Table
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text
from foam_viz.trace import Manifest, Trace

_PARQUET = b"PAR1"
_NAMED_LIKE_A_LOG = re.compile(rb'"[\w/]{0,40}(?:loss|step|epoch)[\w/]{0,40}"\s*:\s*[\[\d]')
_LARGEST_LOOKED_INTO = 4 << 20
"""Bytes. A larger JSON document is taken for a log by its beginning."""


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim every file that is a table with numbers in it, each for itself."""
    return [(file,) for file in files if is_table(file)]


def is_table(file: LogFile) -> bool:
    """Say whether a file is a table by its first bytes; a JSON document is looked into."""
    if file.head.startswith(_PARQUET):
        return True
    if not looks_like_text(file.head):
        return False
    text = LogText.of_head(file).text
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return looks_like_json_lines(text) or _json_holds_a_log(file)
    return find_dialect(text) is not None


def _json_holds_a_log(file: LogFile) -> bool:
    if file.size > _LARGEST_LOOKED_INTO:
        return True
    try:
        return any(is_log(table) for table in read_json(file))
    except LogError:
        # A log that was cut off while it was written deserves an answer that says where; a foreign file does not.
        return _NAMED_LIKE_A_LOG.search(file.head) is not None


def is_log(table: Table) -> bool:
    """Say whether the columns of a document are those of a log, not lists in a configuration."""
    rows = len(table.series[0].values) if table.series else 0
    known = any(role_of(one.name).kind not in ("", "learning_rate", "accuracy") for one in table.series)
    return rows >= 2 and known or rows >= 5 or names_runs(table)


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: Nothing in it can be read as a table with numbers.
    """
    return traces_of_tables(tables_of(group[0]), group, READER.name, options)


def tables_of(file: LogFile) -> list[Table]:
    """Read the tables of a file, whichever kind it is.

    Raises:
        LogError: See :func:`read`.
    """
    if file.head.startswith(_PARQUET):
        return [read_parquet(file)]
    text = LogText.of_head(file).text
    if text.lstrip()[:1] not in ("{", "["):
        return [read_delimited(file)]
    tables = read_json(file)
    return [table for table in tables if is_log(table)] or tables


def traces_of_tables(
    tables: Sequence[Table],
    group: Group,
    form: str,
    options: Options,
    *,
    name: str = "",
    split: bool = True,
    planned: Planned = Planned(),  # noqa: B008 - frozen
) -> list[Trace]:
    """Make traces of tables.

    Args:
        tables: As read from the group.
        group: The files.
        form: The reader's name.
        options: What the user said.
        name: What to call the run; empty to go by the file.
        split: Whether falling steps may begin another run.
        planned: Totals of the step and the epoch where the source prints them.

    Raises:
        LogError: No table has a column of numbers, or no row a step.
    """
    runs = [] if any(rule.target == "step" for rule in options.columns.values()) else _tables_of_runs(tables)
    parts = [part for table in tables if id(table) not in dict(runs) for part in spread(table, options.columns)]
    traces: list[Trace] = []
    for table in tables:
        if id(table) in dict(runs):
            template = _template(table, group, form, options, len(traces), name or table.name or run_name(group[0]))
            traces.append(trace_of_runs(table, dict(runs)[id(table)], template))
    for index, part in enumerate(parts):
        if not any(one.count() for one in part.series):
            continue
        own_name = " ".join(filter(None, (name or run_name(group[0]), part.name if len(parts) > 1 else "")))
        shown = part.name if len(parts) == 1 and part.name else own_name
        template = _template(part, group, form, options, len(runs) + index, shown).with_notes(part.notes)
        traces += traces_from_columns(
            part.series,
            template,
            options,
            split=split,
            total_seconds=part.length,
            planned=planned,
            count_rows=form != "key-value",  # of text, lines are counted
        )
    if not traces:
        raise group[0].problem("", "no column holds numbers", "a log needs a column of steps and one of numbers")
    return traces


def _tables_of_runs(tables: Sequence[Table]) -> list[tuple[int, str]]:
    found = [(id(table), identity_of(table)) for table in tables]
    return [(key, identity) for key, identity in found if identity is not None]


def _template(table: Table, group: Group, form: str, options: Options, index: int, name: str) -> Manifest:
    config, notes = (table.config, []) if options.show_secrets else masked(table.config)
    return Manifest(
        run_id=run_id(group, index),
        name=name[:300],
        format=form,
        optimizer=optimizer_of(config),
        config=config,
        files=tuple(file.name for file in group),
        notes=tuple(notes),
    )


READER = Reader(
    name="table",
    label="Table (CSV, TSV, JSON, JSON lines, Parquet)",
    summary="Any table with numbers in it: steps, losses, clocks and rates are guessed by name and value.",
    find=find,
    read=read,
)
