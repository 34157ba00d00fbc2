"""Runs of which each metric is a file: TensorBoard's downloads, DVCLive, d3rlpy.

TensorBoard's page calls a download ``run-X-tag-Y.csv`` (or ``.json``), with ``/`` written as ``_``; its columns are
``Wall time``, ``Step`` and ``Value``. DVCLive writes ``plots/metrics/train/loss.tsv`` with the step, the metric and in
earlier versions the time. d3rlpy writes ``loss.csv`` without a header: epoch, step, value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.core.metric_points import Points, side_by_side
from foam_viz.logs.core.reader import Group, LogError, LogFile, Options, Reader
from foam_viz.logs.formats.table import tables_of, traces_of_tables
from foam_viz.logs.parsing.dialect import Dialect, find_dialect
from foam_viz.logs.parsing.plain_yaml import load
from foam_viz.logs.parsing.table_model import Table
from foam_viz.logs.parsing.text_lines import LogText, counted, looks_like_text
from foam_viz.trace import Trace

_DOWNLOAD = re.compile(r"(?:(?P<run>.*)[-_])?tag-(?P<tag>.+?)(?: \(\d+\))?\.(?:csv|json)", re.IGNORECASE)
_TENSORBOARD = ("wall time", "step", "value")
_SPLITS = ("train", "validation", "valid", "val", "eval", "test")
_DVCLIVE = "plots/metrics/"
_TRIPLES = re.compile(r"\s*\[\s*\[\s*[\d.eE+]+\s*,\s*\d+\s*,")
_SETTINGS = frozenset({"params.json", "params.yaml"})
_LARGEST_SETTINGS = 1 << 20


@dataclass(frozen=True)
class _Place:
    """Where a file belongs: the run, and the metric that it holds."""

    kind: str
    run: str
    metric: str


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim files of one metric each, those of a run together, with the settings that lie beside them."""
    places = _places(files)
    runs: dict[tuple[str, str], list[LogFile]] = {}
    for file in files:
        place = places.get(file.name)
        if place is not None:
            runs.setdefault((place.kind, place.run), []).append(file)
    beside = {file.folder: file for file in files if file.base in _SETTINGS}
    summaries = {file.folder: file for file in files if file.base == "metrics.json"}
    for (kind, run), members in runs.items():
        folder = run if kind != "tensorboard" else ""
        if kind != "tensorboard" and folder in beside:
            members.append(beside[folder])
        if kind == "dvclive" and folder in summaries:
            members.append(summaries[folder])
    return [tuple(members) for members in runs.values()]


def _places(files: Sequence[LogFile]) -> dict[str, _Place]:
    settings = {file.folder for file in files if file.base == "params.json"}
    places: dict[str, _Place] = {}
    for file in files:
        place = _tensorboard(file) or _dvclive(file) or (_d3rlpy(file) if file.folder in settings else None)
        if place is not None:
            places[file.name] = place
    return _splits_joined(places)


def _layout(file: LogFile) -> Dialect | None:
    if not file.base.lower().endswith((".csv", ".tsv")) or not looks_like_text(file.head):
        return None
    text = LogText.of_head(file).text
    return None if text.lstrip()[:1] in ("{", "[") else find_dialect(text)


def _tensorboard(file: LogFile) -> _Place | None:
    named = _DOWNLOAD.fullmatch(file.base)
    if file.base.lower().endswith(".json"):
        if named is None or not looks_like_text(file.head) or not _TRIPLES.match(file.head[:200].decode("latin-1")):
            return None
    elif b"all time" in file.head[:40]:
        layout = _layout(file)
        if layout is None or tuple(name.strip().lower() for name in layout.names) != _TENSORBOARD:
            return None
    else:
        return None
    run = (named["run"] or "") if named else ""
    metric = named["tag"] if named else file.base.rpartition(".")[0]
    return _Place("tensorboard", f"{file.folder}\0{run.removeprefix('run-').removeprefix('run_')}", metric)


def _dvclive(file: LogFile) -> _Place | None:
    home, found, rest = f"/{file.name}".rpartition(f"/{_DVCLIVE}")
    if not found or not rest.endswith(".tsv"):
        return None
    layout = _layout(file)
    if layout is None or "step" not in layout.names or len(set(layout.names) - {"step", "timestamp"}) != 1:
        return None
    return _Place("dvclive", home.strip("/"), rest.removesuffix(".tsv"))


def _d3rlpy(file: LogFile) -> _Place | None:
    layout = _layout(file)
    if layout is None or layout.names or layout.width != 3:
        return None
    return _Place("d3rlpy", file.folder, file.base.rpartition(".")[0])


def _splits_joined(places: Mapping[str, _Place]) -> dict[str, _Place]:
    """``foam_train`` and ``foam_validation`` are folders of one run, as TensorBoard's callbacks write them."""
    runs = {place.run for place in places.values() if place.kind == "tensorboard"}
    joined = {}
    for name, place in places.items():
        above, _, split = place.run.rpartition("_") if "_" in place.run.rpartition("\0")[2] else ("", "", "")
        if not above:
            folder, _, split = place.run.rpartition("\0")
            above = f"{folder}\0"
        siblings = {f"{above}_{other}" if above[-1:] != "\0" else f"{above}{other}" for other in _SPLITS} & runs
        if place.kind == "tensorboard" and split in _SPLITS and (len(siblings) > 1 or above in runs):
            place = _Place(place.kind, above, f"{split}/{place.metric}")
        joined[name] = place
    return joined


def read(group: Group, options: Options) -> list[Trace]:
    """Read the files of one run.

    Raises:
        LogError: None of them holds a value.
    """
    places = _places(group)
    notes: list[str] = []
    metrics: dict[str, Points] = {}
    config: dict[str, object] = {}
    epochs = Points(np.empty(0), np.empty(0))
    for file in group:
        place = places.get(file.name)
        if place is None:
            config.update(_settings(file, notes))
            continue
        try:
            points = _points(file, place.kind)
        except LogError as error:
            notes.append(str(error.problem))
            continue
        name = place.metric
        while name in metrics:
            name += " (again)"
        metrics[name] = points
        if place.kind == "d3rlpy":
            epochs = max(epochs, _epochs(file, points), key=lambda one: len(one.steps))
    if len(epochs.steps) and "epoch" not in metrics:
        metrics["epoch"] = epochs
    columns = side_by_side(metrics, notes)
    if not columns:
        raise group[0].problem("", "holds no value with a step" + (f": {notes[0]}" if notes else ""))
    count = len(group) - sum(places.get(file.name) is None for file in group)
    notes.insert(0, f"{counted(count, 'file')} of one metric each were read as one run.")
    place = next(iter(places.values()))
    table = Table(columns, notes=notes, config=config)
    return traces_of_tables([table], group, READER.name, options, name=_name(place, group[0]), split=False)


def _name(place: _Place, file: LogFile) -> str:
    own = place.run.rpartition("\0")[2]
    if place.kind == "tensorboard":
        return own if own not in ("", ".") else ""
    parts = [part for part in place.run.split("/") if part not in ("", "dvclive")]
    return parts[-1] if parts else ""


def _points(file: LogFile, kind: str) -> Points:
    """Read one file.

    Raises:
        LogError: It cannot be read as a table of steps and values.
    """
    (table, *_) = tables_of(file)
    by_name = {one.name.strip().lower(): one for one in table.series}
    if kind == "d3rlpy":
        steps, values, times = by_name.get("column 2"), by_name.get("column 3"), None
    elif kind == "dvclive":
        steps, times = by_name.get("step"), by_name.get("timestamp")
        values = next((one for key, one in by_name.items() if key not in ("step", "timestamp")), None)
    else:
        steps, values = by_name.get("step"), by_name.get("value")
        times = by_name.get("wall time") or by_name.get("timestamp")
    if steps is None or values is None:
        raise file.problem("", "holds no step with a value")
    good = np.ones(len(steps.values), bool)
    for one in (steps, values):
        if one.missing is not None:
            good &= ~one.missing
    seconds = None
    if times is not None:
        finite = np.abs(times.values[np.isfinite(times.values)])
        scale = 1e-3 if len(finite) and float(np.median(finite)) > 1e11 else 1.0
        seconds = times.values[good] * scale
    return Points(steps.values[good], values.values[good], seconds)


def _epochs(file: LogFile, points: Points) -> Points:
    """The epochs in d3rlpy's first column, where it does more than number the rows."""
    (table, *_) = tables_of(file)
    one = next((one for one in table.series if one.name == "column 1"), None)
    values = one.values if one is not None else np.arange(1.0, len(points.steps) + 1)
    return Points(points.steps, values) if len(values) == len(points.steps) else Points(np.empty(0), np.empty(0))


def _settings(file: LogFile, notes: list[str]) -> dict[str, object]:
    if file.size > _LARGEST_SETTINGS:
        notes.append(f"{file.name} was left out: {file.size:,} bytes are too many for settings.")
        return {}
    try:
        document = load(file) if file.base.endswith(".yaml") else json.loads(file.path.read_bytes())
    except (LogError, ValueError, RecursionError) as error:
        notes.append(f"{file.name} could not be read: {str(error)[:200]}.")
        return {}
    found = document if isinstance(document, dict) else {}
    return {"summary": found} if file.base == "metrics.json" else {str(key): value for key, value in found.items()}


READER = Reader(
    name="metric-files",
    label="One metric a file",
    summary="TensorBoard's CSV and JSON downloads (run-X-tag-Y), DVCLive's plots/metrics and d3rlpy's CSV, by run.",
    find=find,
    read=read,
)
