"""Run directories of the public FOAM artifact, whole or in part.

A directory may hold ``resolved_config.yaml``, ``run_manifest.json``, ``metrics.csv`` (a row an epoch),
``factor_diagnostics.csv`` (a row a factor and epoch), ``summary.json``, ``factor_snapshots/*.pt``, ``checkpoints/`` and
what the program printed, which has the loss of every step. Files are recognised by what is in them; snapshots and
checkpoints by their names, because their content is torch's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import run_id
from foam_viz.logs.core.reader import Group, LogError, LogFile, Options, Reader
from foam_viz.logs.formats import foam_artifact_checks, foam_artifact_steps
from foam_viz.logs.formats.foam_artifact_factors import Factors
from foam_viz.logs.formats.foam_artifact_snapshots import read_snapshots
from foam_viz.logs.formats.foam_artifact_stream import write_stream
from foam_viz.logs.formats.foam_artifact_tables import Rows, joined_printed, read_printed, read_table
from foam_viz.logs.parsing.plain_yaml import load
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.batches import record_batch

_METRICS = (b"epoch,global_step,", (b"train_online_objective", b"optimizer_checks"))
_DIAGNOSTICS = (b"epoch,global_step,", (b"factor_id", b"factor_index"))
_PRINTED = re.compile(rb"^epoch=\d+/\d+ step=\d+/\d+ global_step=\d+ objective=", re.MULTILINE)
_SNAPSHOT = re.compile(r"epoch_\d+_rank_\d+\.pt")
_CHECKPOINT = "checkpoints"
_LARGEST_JSON = 4 << 20


@dataclass
class _Directory:
    """The files of one run directory by what they are."""

    metrics: list[LogFile] = field(default_factory=list)
    diagnostics: list[LogFile] = field(default_factory=list)
    printed: list[LogFile] = field(default_factory=list)
    snapshots: list[LogFile] = field(default_factory=list)
    config: list[LogFile] = field(default_factory=list)
    manifest: list[LogFile] = field(default_factory=list)
    summary: list[LogFile] = field(default_factory=list)
    checkpoints: list[LogFile] = field(default_factory=list)


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim the files of each run directory; checkpoints alone are none."""
    homes: dict[str, list[tuple[str, LogFile]]] = {}
    for file in files:
        kind = _kind(file)
        if kind:
            homes.setdefault(_home(file, kind), []).append((kind, file))
    return [
        tuple(file for _, file in members)
        for members in homes.values()
        if any(kind != "checkpoints" for kind, _ in members)
    ]


def _kind(file: LogFile) -> str:
    head = file.head.removeprefix(b"\xef\xbb\xbf")
    first = head.split(b"\n", 1)[0]
    if first.startswith(_METRICS[0]):
        if any(name in first for name in _METRICS[1]):
            return "metrics"
        return "diagnostics" if any(name in first for name in _DIAGNOSTICS[1]) else ""
    if _SNAPSHOT.fullmatch(file.base) and _last(file.folder) in ("factor_snapshots", ""):
        return "snapshots"
    if f"/{_CHECKPOINT}/" in f"/{file.name}" and (
        re.fullmatch(r"rank_\d+\.pt", file.base) or b"elapsed_wall_clock_seconds" in head
    ):
        return "checkpoints"
    if head.lstrip().startswith(b"{"):
        if b'"epochs_completed"' in head and b'"train_compute_seconds"' in head:
            return "summary"
        return "manifest" if b'"config"' in head and b'"experiment_name"' in head and _is_ours(head) else ""
    if b"experiment_name:" in head and _is_ours(head):
        return "config"
    return "printed" if _PRINTED.search(head) else ""


def _is_ours(head: bytes) -> bool:
    return b"matrix_root_inv_threshold" in head or b"precondition_frequency" in head


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]


def _home(file: LogFile, kind: str) -> str:
    if kind == "snapshots" and _last(file.folder) == "factor_snapshots":
        return file.folder.rpartition("/")[0]
    if kind == "checkpoints":
        return f"/{file.name}".partition(f"/{_CHECKPOINT}/")[0].lstrip("/")
    return file.folder


def read(group: Group, options: Options) -> list[Trace]:
    """Read one run directory; several traces when it was run into more than once.

    Raises:
        LogError: It holds settings and no measurement.
    """
    directory = _Directory()
    for file in group:
        getattr(directory, _kind(file)).append(file)
    notes: list[str] = []
    metrics = _tables(directory.metrics, notes, "")
    diagnostics = _tables(directory.diagnostics, notes, "factor_id")
    printed = joined_printed([rows for file in directory.printed for rows in read_printed(file, notes)])
    if directory.checkpoints:
        pickled = [file.name for file in directory.checkpoints if file.base.endswith(".pt")]
        more = f" and {len(pickled) - 5} more" if len(pickled) > 5 else ""
        if pickled:
            notes.append(
                f"{', '.join(pickled[:5])}{more}: not read. Checkpoints hold pickled objects of the optimizer, and "
                "loading those could run any code."
            )
    if not (metrics or diagnostics or printed or directory.snapshots or directory.summary):
        raise group[0].problem(
            "", "the run directory holds settings and no measurement", "add metrics.csv or stdout.txt"
        )
    template = _manifest(directory, group, notes, options)
    count = max(1, len(metrics), len(printed))
    with_factors = [i for i in range(count) if i >= len(metrics) or foam_artifact_checks.has_factors(metrics[i])]
    slots = with_factors if len(with_factors) >= len(diagnostics) else list(range(max(count, len(diagnostics))))
    count = max(count, len(slots) and slots[-1] + 1)
    owner = dict(zip(reversed(slots), reversed(diagnostics), strict=False))
    if len(diagnostics) not in (0, len(with_factors)):
        notes.append(
            f"{len(diagnostics)} runs in factor_diagnostics.csv, {len(with_factors)} with factors in metrics.csv: they "
            "were put together from the last one backwards."
        )
    traces = []
    for index in range(count):
        last = index == count - 1
        back = count - index
        run = template if last or count == 1 else _earlier(template)
        if count > 1:
            run = run.with_(name=f"{template.name} (run {index + 1})", run_id=f"{template.run_id}-{index + 1}")
        traces += _trace(
            metrics[index] if index < len(metrics) else None,
            owner.get(index),
            printed[-back] if back <= len(printed) else None,
            directory if last else _Directory(),
            run.with_notes(notes),
            options,
        )
    if not traces:
        raise group[0].problem("column global_step", "no row has a whole number from 0 as its step")
    return traces


def _tables(files: Sequence[LogFile], notes: list[str], factor_column: str) -> list[Rows]:
    return [rows for file in files for rows in read_table(file, notes, factor_column)]


def _earlier(template: Manifest) -> Manifest:
    """The manifest of a run whose settings a later one overwrote."""
    note = "A later run into the same directory overwrote this run's settings; they are not known."
    return template.with_(config={}, optimizer="", task="", hardware={}, software={}, device="").with_notes([note])


def _trace(
    metrics: Rows | None,
    diagnostics: Rows | None,
    printed: Rows | None,
    directory: _Directory,
    template: Manifest,
    options: Options,
) -> list[Trace]:
    notes: list[str] = []
    factors = Factors()
    checks = foam_artifact_checks.checks_table(metrics, diagnostics, factors, notes)
    snapshots = read_snapshots(directory.snapshots, factors.number, notes)
    if snapshots:
        foam_artifact_checks.add_last_decompositions(snapshots, checks)
        notes.append("A snapshot shows a factor at the end of an epoch, after the decision of a check at that step.")
    summary = _json(directory.summary[0], notes) if directory.summary else {}
    template = template.with_(factors=factors.infos())
    counted = metrics.counter("factor_count") if metrics is not None else np.empty(0)
    if not template.factors and np.nanmax(counted, initial=0) > 0:
        template = template.with_(extra={**template.extra, "factor_count": int(np.nanmax(counted))})
    traces = foam_artifact_steps.steps_traces(metrics, printed, summary, template, options, notes)
    if not traces and (checks.num_rows or snapshots):
        traces = [Trace(template)]
    for trace in traces:
        trace.append("checks", checks)
        if snapshots:
            names = dict.fromkeys(name for row in snapshots for name in row)
            columns = {name: [row.get(name) for row in snapshots] for name in names}
            trace.append("snapshots", pa.Table.from_batches([record_batch("snapshots", columns)]))
        trace.manifest = _ended(trace, bool(summary)).with_notes(notes)
        if snapshots and options.streams:
            write_stream(directory.snapshots, factors.number, trace, Path(options.streams))
    return traces


def _ended(trace: Trace, has_summary: bool) -> Manifest:
    """A run without a summary that stopped before its last planned step was interrupted."""
    manifest, planned = trace.manifest, trace.manifest.config.get("steps_planned")
    steps = trace.values("steps", "step")
    if manifest.status != "finished" or has_summary or not isinstance(planned, int) or not len(steps):
        return manifest
    return manifest.with_(status="interrupted") if int(steps.max()) < planned else manifest


def _manifest(directory: _Directory, group: Group, notes: list[str], options: Options) -> Manifest:
    known = _json(directory.manifest[0], notes) if directory.manifest else {}
    config = _settings(directory, known, notes)
    environment = known.get("environment")
    environment = environment if isinstance(environment, Mapping) else {}
    planned, batch = known.get("total_steps"), known.get("global_batch_size")
    if isinstance(planned, int) and planned > 0:
        config["steps_planned"] = planned
    if isinstance(batch, int):
        config["batch_size"] = batch
    for name in ("parameter_count", "train_samples", "validation_samples", "steps_per_epoch", "command"):
        if name in known:
            config[name] = known[name]
    home = min((_home(file, _kind(file)) for file in group), key=len)
    name = str(config.get("experiment_name") or _last(home) or "FOAM artifact run")
    task = config.get("hf_dataset_name") if config.get("data_backend") == "huggingface" else config.get("data_backend")
    if not options.show_secrets:
        config, hidden = masked(config)
        notes += hidden
    return Manifest(
        run_id=run_id(group),
        name=name[:300],
        format=READER.name,
        task=f"vit, {task}" if isinstance(task, str) and task else "",
        optimizer=str(config.get("optimizer") or ""),
        config=config,
        device=str(environment.get("device") or ""),
        hardware=_present(environment, device="device", device_name="device_name", world_size="world_size"),
        software={
            **({"framework": "pytorch"} if known else {}),
            **_present(environment, torch="torch_version"),
            **_present(known, python="python_version", platform="platform", commit="git_revision"),
        },
        files=tuple(file.name for file in group),
    )


def _settings(directory: _Directory, known: Mapping[str, object], notes: list[str]) -> dict[str, object]:
    if directory.config:
        try:
            loaded = load(directory.config[0])
            if isinstance(loaded, Mapping):
                return {str(key): value for key, value in loaded.items()}
            notes.append(f"{directory.config[0].name} holds no names with values.")
        except LogError as error:
            notes.append(str(error.problem))
    config = known.get("config")
    return dict(config) if isinstance(config, Mapping) else {}


def _present(source: Mapping[str, object], **names: str) -> dict[str, object]:
    return {target: source[name] for target, name in names.items() if source.get(name) not in (None, "")}


def _json(file: LogFile, notes: list[str]) -> Mapping[str, object]:
    try:
        if file.size > _LARGEST_JSON:
            raise ValueError(f"{file.size:,} bytes are too many")
        loaded = json.loads(file.path.read_bytes())
        if not isinstance(loaded, Mapping):
            raise ValueError("holds no names with values")
        return loaded
    except (ValueError, RecursionError) as error:
        notes.append(f"{file.name} could not be read: {str(error)[:200]}.")
        return {}


READER = Reader(
    name="foam-artifact",
    label="FOAM artifact run directory",
    summary="Metrics of epochs, checks of every factor, the printed loss of steps, snapshots with error and overlap.",
    find=find,
    read=read,
)
