"""Files written by tests, given to one reader."""

from __future__ import annotations

from pathlib import Path

from foam_viz.logs.core.reader import HEAD_BYTES, LogFile, Options, Reader
from foam_viz.trace import Trace


def log_file(path: Path, name: str = "") -> LogFile:
    data = path.read_bytes()
    return LogFile(name or path.name, path, len(data), data[:HEAD_BYTES])


def written(folder: Path, name: str, content: str | bytes) -> LogFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return log_file(path, name)


def folder_files(folder: Path) -> list[LogFile]:
    return [log_file(path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file()]


def read(reader: Reader, *files: LogFile, **options: object) -> list[Trace]:
    groups = reader.find(files)
    assert groups, f"{reader.name} does not recognise {[file.name for file in files]}"
    return [trace for group in groups for trace in reader.read(group, Options(**options))]  # type: ignore[arg-type]


def column(trace: Trace, name: str) -> list[float | None]:
    return trace.steps[name].to_pylist()


def source(trace: Trace, name: str) -> dict[str, object]:
    return dict(next(entry for entry in trace.manifest.source_columns if entry["source"] == name))


def said(trace: Trace, *words: str) -> bool:
    """Whether one note of the trace holds all of the words."""
    return any(all(word in note for word in words) for note in trace.manifest.notes)
