"""``monitor.csv`` of Stable-Baselines3 and Gym: a row an episode, with its reward ``r``, length ``l`` and time ``t``.

The first line is a remark in JSON with the start and the environment. The step of an episode is the number of
environment steps until its end: the sum of the lengths so far.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.dialect import find_dialect
from foam_viz.logs.parsing.table_files import read_delimited
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

_NAMES = {"r": "episode reward", "l": "episode length"}


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim tables whose columns begin with r, l and t."""
    return [(file,) for file in files if _is_monitor(file)]


def _is_monitor(file: LogFile) -> bool:
    if not (b"r,l,t" in file.head[:4096] and looks_like_text(file.head)):
        return False
    dialect = find_dialect(LogText.of_head(file).text)
    return dialect is not None and dialect.delimiter == "," and dialect.names[:3] == ("r", "l", "t")


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: It cannot be read as a table.
    """
    (file,) = group
    table = read_delimited(file)
    by_name = {one.name: one for one in table.series}
    lengths = by_name.get("l")
    series: list[Series] = []
    if lengths is not None and lengths.missing is None and np.isfinite(lengths.values).all():
        series.append(Series("total_timesteps", np.cumsum(lengths.values)))
        table.notes.append("The step is the sum of the lengths of all episodes so far, 'l'.")
    for one in table.series:
        name = "time" if one.name == "t" else _NAMES.get(one.name, one.name)
        series.append(replace(one, name=name, unit="s" if one.name == "t" else one.unit))
    table.series = series
    first = LogText.of_head(file).text.lstrip().split("\n", 1)[0]
    try:
        told = json.loads(first.lstrip("# ")) if first.startswith("#") else {}
    except (ValueError, RecursionError):
        told = {}
    table.config = {str(key): value for key, value in told.items()} if isinstance(told, dict) else {}
    return traces_of_tables([table], group, READER.name, options, split=False)


READER = Reader(
    name="monitor",
    label="Episodes (monitor.csv)",
    summary="monitor.csv of Stable-Baselines3 and Gym: reward and length of each episode over environment steps.",
    find=find,
    read=read,
)
