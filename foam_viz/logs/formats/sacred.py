"""Sacred's file observer: a folder a run, with ``metrics.json``, ``config.json``, ``run.json`` and ``cout.txt``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.json_tables import read_json
from foam_viz.trace import Trace

_BESIDE = ("config.json", "run.json", "cout.txt", "info.json")
_STATUSES = {"RUNNING": "running", "COMPLETED": "finished", "INTERRUPTED": "interrupted", "FAILED": "interrupted"}
_LARGEST_SETTINGS = 4 << 20


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim ``metrics.json`` with lists of steps and values, beside ``run.json`` or in a numbered folder."""
    by_name = {file.name: file for file in files}
    groups: list[Group] = []
    for file in files:
        if file.base == "metrics.json" and b'"steps"' in file.head and b'"values"' in file.head:
            prefix = f"{file.folder}/" if file.folder else ""
            beside = [by_name[prefix + base] for base in _BESIDE if prefix + base in by_name]
            settled = any(other.base in ("run.json", "config.json") for other in beside)
            if settled or file.folder.rpartition("/")[2].isdecimal():
                groups.append((file, *beside))
    return groups


def read(group: Group, options: Options) -> list[Trace]:
    """Read one run.

    Raises:
        LogError: Its metrics are no JSON, or hold no value.
    """
    metrics, *rest = group
    tables = read_json(metrics)
    notes: list[str] = []
    config, run = {}, {}
    for file in rest:
        if file.base == "cout.txt":
            notes.append("cout.txt, what the run printed, is not read: the metrics are in metrics.json.")
        elif file.base == "config.json":
            config = _document(file, notes)
        elif file.base == "run.json":
            run = _document(file, notes)
    experiment = run.get("experiment")
    name = str(experiment.get("name") or "") if isinstance(experiment, dict) else ""
    parts = metrics.folder.split("/") if metrics.folder else []
    shown = " ".join(filter(None, [name or "/".join(parts[-2:-1]), *parts[-1:]]))
    for table in tables:
        table.config = {str(key): value for key, value in config.items() if key != "seed" or value is not None}
        table.notes += notes
    traces = traces_of_tables(tables, group, READER.name, options, name=shown, split=False)
    for trace in traces:
        manifest = trace.manifest.with_(created=trace.manifest.created or _date(run.get("start_time")))
        if manifest.status == "finished":
            manifest = manifest.with_(status=_STATUSES.get(str(run.get("status")), "finished"))
        trace.manifest = manifest
    return traces


def _document(file: LogFile, notes: list[str]) -> dict[str, object]:
    if file.size > _LARGEST_SETTINGS:
        notes.append(f"{file.name} was left out: {file.size:,} bytes are too many for settings.")
        return {}
    try:
        document = json.loads(file.path.read_bytes())
    except (ValueError, RecursionError) as error:
        notes.append(f"{file.name} could not be read: {str(error)[:200]}.")
        return {}
    return document if isinstance(document, dict) else {}


def _date(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).isoformat(timespec="seconds") + "+00:00" if text else ""
    except ValueError:
        return ""


READER = Reader(
    name="sacred",
    label="Sacred run",
    summary="A folder of Sacred's file observer: metrics.json with its configuration.",
    find=find,
    read=read,
)
