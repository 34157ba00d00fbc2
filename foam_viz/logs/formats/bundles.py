"""This project's own run bundles; those that the ranks of one run wrote become one trace."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.recording.stream.part import STREAM_FOLDER
from foam_viz.trace import BundleError, FactorInfo, Trace
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.parts import MANIFEST_NAME, REWIND_NAME, TABLES_FOLDER

_PART = re.compile(r"(?:^|/)tables/(?:steps|checks|snapshots|events)\.\d{8}-\d{8}\.arrow$")
_INSIDE = re.compile(rf"(?:(?P<home>.+)/)?(?:{TABLES_FOLDER}|{bundle.CHECKPOINTS_FOLDER}|{STREAM_FOLDER})/.", re.DOTALL)
_MAPPED = ("checks", "snapshots", "events")


def _find(files: Sequence[LogFile]) -> list[Group]:
    documents = {file.folder: document for file in files if (document := _manifest(file)) is not None}
    contents: dict[str, list[LogFile]] = {folder: [] for folder in documents}
    for file in files:
        home = _home(file)
        if home is None:
            continue
        if _PART.search(file.name):  # claimed without a manifest too, so that the error can say what is missing
            contents.setdefault(home, [])
        if home in contents:
            contents[home].append(file)
    runs: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for folder in contents:
        writer = _writer(documents.get(folder, {}))
        key = (folder.rpartition("/")[0], str(writer["run"])) if writer else (folder,)
        runs.setdefault(key, []).append((_rank(writer), folder))
    return [tuple(file for _, folder in sorted(ranks) for file in contents[folder]) for ranks in runs.values()]


def _home(file: LogFile) -> str | None:
    """The folder of the bundle that a file would belong to by its place; None when it would to none."""
    if file.base in (MANIFEST_NAME, REWIND_NAME):
        return file.folder
    found = _INSIDE.match(file.name)
    return found["home"] or "" if found else None


def _read(group: Group, options: Options) -> list[Trace]:
    manifests = [file for file in group if file.base == MANIFEST_NAME and _manifest(file) is not None]
    if not manifests:
        remedy = "restore it from a copy; without it the numbers of the tables have no names"
        raise group[0].problem("", f"belongs to a run bundle whose {MANIFEST_NAME} is missing or damaged", remedy)
    ranks = []
    notes = []
    for file in manifests:
        try:
            trace = bundle.read(file.path.parent, branch=options.branch)
        except BundleError as error:
            if len(manifests) == 1:
                raise file.problem("", error.reason, error.remedy) from error
            notes.append(f"{file.name} and the tables beside it cannot be read: {error.reason}")
            continue
        beside = tuple(other.name for other in group if other.name.startswith(file.name.removesuffix(MANIFEST_NAME)))
        trace.manifest = trace.manifest.with_(files=beside)
        ranks.append(trace)
    if not ranks:
        raise manifests[0].problem("", f"none of the {len(manifests)} ranks of this run can be read: {notes[0]}")
    trace = ranks[0] if len(ranks) == 1 and not notes else merged(ranks)
    trace.manifest = trace.manifest.with_notes([*notes, *_missing_ranks(ranks)])
    return [trace]


def merged(ranks: Sequence[Trace]) -> Trace:
    """Join what the ranks of one run recorded.

    The steps, the configuration and the name are those of the first rank. Checks, snapshots and events of all are
    united, by step. A factor that several ranks recorded is taken from the first of them.

    Args:
        ranks: One trace each, by rank.
    """
    base = ranks[0].manifest
    factors: list[FactorInfo] = []
    owner: dict[str, int] = {}
    notes = [f"recorded by {len(ranks)} ranks, joined; the steps are those of rank {_rank(_writer_of(ranks[0]))}"]
    tables: dict[str, list[pa.Table]] = {name: [] for name in _MAPPED}
    repeated: dict[int, int] = {}
    for index, trace in enumerate(ranks):
        mapping = np.full(len(trace.manifest.factors), -1, np.int64)
        rank = _rank(_writer_of(trace))
        for number, factor in enumerate(trace.manifest.factors):
            if owner.setdefault(factor.id, index) == index:
                mapping[number] = len(factors)
                factors.append(factor)
            else:
                repeated[rank] = repeated.get(rank, 0) + 1
        for name in _MAPPED:
            tables[name].append(_renumbered(trace.table(name), mapping))
        if index:
            notes += [f"rank {rank}: {note}" for note in trace.manifest.notes]
    for rank, count in repeated.items():
        notes.append(f"rank {rank}: {count} factors left out, which an earlier rank recorded as well")
    files = tuple(name for trace in ranks for name in trace.manifest.files)
    result = Trace(base.with_(factors=tuple(factors), files=files).with_notes(notes), steps=ranks[0].steps)
    for name, parts in tables.items():
        for rows in parts:
            result.append(name, rows)
    ordered = {}
    for name in _MAPPED:
        order = np.argsort(result.values(name, "step"), kind="stable")
        ordered[name] = result.table(name).take(pa.array(order))
    return Trace(result.manifest, steps=result.steps, **ordered)


def _renumbered(rows: pa.Table, mapping: np.ndarray) -> pa.Table:
    """Rows under the factors' new numbers, without those of factors that are -1 or unknown; rows of none are kept."""
    position = rows.schema.get_field_index("factor")
    column = rows.column(position)
    none = column.is_null().to_numpy()
    old = column.fill_null(0).to_numpy().astype(np.int64)
    known = (old >= 0) & (old < len(mapping))
    new = np.full(len(old), -1, np.int64)
    new[known] = mapping[old[known]]
    kept = none | (new >= 0)
    numbers = pa.array(np.where(none, 0, new), pa.int32(), mask=none)
    return rows.set_column(position, rows.schema.field(position), numbers).filter(pa.array(kept))


def _missing_ranks(ranks: Sequence[Trace]) -> list[str]:
    writer = _writer_of(ranks[0])
    world = writer.get("world_size")
    if not isinstance(world, int) or isinstance(world, bool) or world <= len(ranks):
        return []
    found = ", ".join(str(_rank(_writer_of(trace))) for trace in ranks)
    return [f"the run had {world} ranks and only {len(ranks)} are here: {found}"]


def _manifest(file: LogFile) -> Mapping[str, object] | None:
    """The parsed manifest of a bundle, an empty mapping where it is ours and damaged, None where it is not ours."""
    if file.base != MANIFEST_NAME or b'"schema_version"' not in file.head or b'"run_id"' not in file.head:
        return None
    try:
        document = json.loads(file.path.read_bytes())
    except (OSError, ValueError, RecursionError, MemoryError):
        return {}
    return document if isinstance(document, dict) else {}


def _writer(document: Mapping[str, object]) -> Mapping[str, object]:
    """What the writer put into the configuration of one rank of several; empty for any other bundle."""
    config = document.get("config")
    writer = config.get("writer") if isinstance(config, Mapping) else None
    return writer if isinstance(writer, Mapping) and "run" in writer else {}


def _writer_of(trace: Trace) -> Mapping[str, object]:
    return _writer({"config": trace.manifest.config})


def _rank(writer: Mapping[str, object]) -> int:
    rank = writer.get("rank")
    return rank if isinstance(rank, int) else 0


READER = Reader(
    name="foam_viz",
    label="run bundles of this app",
    summary="A folder or zip with manifest.json and tables; the folders of several ranks are joined.",
    find=_find,
    read=_read,
)
