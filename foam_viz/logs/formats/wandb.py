"""Local W&B folders (``wandb/run-*`` and ``wandb/offline-run-*``): the binary log that W&B's own sync reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import optimizer_of, run_id
from foam_viz.logs.core.reader import ColumnRule, Group, LogError, LogFile, Options, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats.wandb_log import MAGIC, parse
from foam_viz.logs.parsing.dates import iso_date
from foam_viz.trace import Manifest, Trace

_SIDE_FILES = ("wandb-summary.json", "wandb-metadata.json")
_EXPORT = (
    'export the run with `python -c "import wandb; '
    "wandb.Api().run('ENTITY/PROJECT/{run}').history(samples=10**9).to_csv('{run}.csv')\"` and give the CSV"
)
_LISTED = 8
_RULES = {
    "_step": ColumnRule(target="step", unit="step"),
    "_runtime": ColumnRule(target="total_seconds", unit="s"),
    "_timestamp": ColumnRule(target=""),  # the same clock again
}


def _find(files: Sequence[LogFile]) -> list[Group]:
    logs = {file.folder: file for file in files if file.head.startswith(MAGIC)}
    # Without the log the files beside it hold no curve; they are claimed to say how to get one.
    bare = {
        file.folder.removesuffix("files").rstrip("/")
        for file in files
        if file.base in _SIDE_FILES and file.head.lstrip().startswith(b"{")
    }
    members: dict[str, list[LogFile]] = {folder: [file] for folder, file in logs.items()}
    members.update({folder: [] for folder in sorted(bare - logs.keys())})
    for file in files:
        home = next((home for home in _homes(file) if home in members), None)
        if home is not None and file is not logs.get(home) and (home or file.base in _SIDE_FILES):
            members[home].append(file)
    extra = [file for file in files if file.head.startswith(MAGIC) and file is not logs[file.folder]]
    return [*(tuple(group) for group in members.values()), *((file,) for file in extra)]


def _homes(file: LogFile) -> list[str]:
    """Folders of runs in which a file would be part of what W&B writes."""
    parts = file.folder.split("/") if file.folder else []
    named = ["/".join(parts[:i]) for i, part in enumerate(parts) if part in ("files", "logs", "tmp")]
    return [*named, file.folder] if file.base in _SIDE_FILES else named


def _read(group: Group, options: Options) -> list[Trace]:
    file = group[0]
    if not file.head.startswith(MAGIC):
        raise _without_log(group)
    log = parse(file.path.read_bytes())
    name = log.run.get("run_id") or file.base.removesuffix(".wandb").removeprefix("run-")
    columns, remarks = log.history.series()
    if not columns:
        what = f"; its summary has {_listed(log.summary)}" if log.summary else ""
        raise file.problem("", f"holds no history of metrics{what}", _EXPORT.format(run=name))
    config: Mapping[str, object] = {key: value for key, value in log.config.items() if key != "_wandb"}
    notes = [*log.notes, *remarks]
    if log.statistics:
        notes.append(f"{log.statistics:,} records of system metrics are left out: they have no steps")
    if log.exit_code is None:
        notes.append("the log has no end: the run is still going, or was killed")
    if not options.show_secrets:
        config, hidden = masked(config)
        notes += hidden
    environment = log.environment
    manifest = Manifest(
        run_id=log.run.get("run_id") or run_id(group),
        name=log.run.get("name") or name,
        format=READER.name,
        created=iso_date(log.started),
        task=log.run.get("project", ""),
        optimizer=optimizer_of(config),
        config=config,
        hardware={
            key: environment[source]
            for key, source in (("device_name", "gpu_type"), ("devices", "gpu_count"), ("processors", "cpu_count"))
            if source in environment
        },
        software={key: environment[key] for key in ("os", "python") if key in environment},
        files=tuple(member.name for member in group),
        notes=tuple(notes),
    )
    traces = traces_from_columns(columns, manifest, certain(options, **_RULES), split=False)
    if not traces:
        raise file.problem("", "none of its records has a step", _EXPORT.format(run=name))
    ended = {None: "running", 0: "finished"}.get(log.exit_code, "interrupted")
    if traces[0].manifest.status == "finished":
        traces[0].manifest = traces[0].manifest.with_(status=ended)
    return traces


def _without_log(group: Group) -> LogError:
    summary: Mapping[str, object] = {}
    for file in group:
        if file.base == "wandb-summary.json":
            try:
                document = json.loads(file.path.read_bytes())
            except (ValueError, RecursionError):
                continue
            summary = document if isinstance(document, dict) else {}
    folder = group[0].folder.removesuffix("/files").rpartition("/")[2]
    run = folder.rpartition("-")[2] or "RUN"
    what = f"; its summary says {_listed(summary)}" if summary else ""
    reason = f"is part of a local W&B run without its log (run-{run}.wandb), which holds the curves{what}"
    return group[0].problem("", reason, f"give the whole folder run-*, or {_EXPORT.format(run=run)}")


def _listed(summary: Mapping[str, object]) -> str:
    numbers = {key: value for key, value in summary.items() if isinstance(value, int | float) and key[:1] != "_"}
    text = ", ".join(f"{key} = {value:.6g}" for key, value in list(numbers.items())[:_LISTED])
    more = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    return f"{text}{more}" or "no numbers"


READER = Reader(
    name="wandb",
    label="local W&B folder",
    summary="run-*.wandb with its configuration; a folder without it is refused with the command that exports the run.",
    find=_find,
    read=_read,
)
