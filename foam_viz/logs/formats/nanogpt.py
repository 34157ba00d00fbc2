"""Logs of modded-nanogpt: the training script, then ``step:S/N val_loss:… train_time:…`` lines, of one run or several.

The script stands before the log and prints such lines, so only lines that *begin* with ``step:`` and a digit count. The
records of 2024 time in ms and start their clock anew after ten steps; those of its third track time in s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.naming import run_id, run_name
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.core.rows import run_starts, traces_from_columns
from foam_viz.logs.parsing.cells import parse_column
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text, were
from foam_viz.trace import Manifest, Trace

_LINE = re.compile(r"step:(\d{1,15})(?:/(\d{1,15}))?((?: +[\w./-]{1,60}:\S{1,60})+)\s*$")
_PAIR = re.compile(r"([\w./-]{1,60}):(\S{1,60})")
_MARK = re.compile(rb"^step:\d+/\d+ +(?:val_loss|train_loss|train_time):", re.MULTILINE)
_RULE = re.compile(r"={40,}\s*$")
_SETTING = re.compile(r"    (\w{1,60})\s*:\s*(?:int|float)\s*=\s*([\d.e*+-]{1,40})\s*(?:#.*)?$")
_TORCH = re.compile(r"Running pytorch (\S+)(?: compiled for CUDA (\S+))?", re.IGNORECASE)
_PYTHON = re.compile(r"Running python (\d[\w.]*)", re.IGNORECASE)
_DEVICE = re.compile(r"\|\s+(\d+)\s+((?:NVIDIA|Tesla|Quadro|GeForce|AMD)\b.{1,60}?)\s+(?:On|Off|N/A)\s+\|")
_CLOCK_RESTARTS = 20
_LARGEST_PRELUDE = 4 << 20


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim text files with such a line, wherever behind the script it stands."""
    return [(file,) for file in files if looks_like_text(file.head) and _has_lines(file)]


def _has_lines(file: LogFile) -> bool:
    if _MARK.search(file.head.replace(b"\r\n", b"\n")):
        return True
    if file.size <= len(file.head) or b"import" not in file.head:
        return False
    with file.path.open("rb") as stream:
        return _MARK.search(stream.read(_LARGEST_PRELUDE)) is not None


@dataclass
class _Lines:
    """The step lines of a file: cells as text, one list a key."""

    steps: list[int] = field(default_factory=list)
    planned: list[int | None] = field(default_factory=list)
    cells: dict[str, list[str | None]] = field(default_factory=dict)

    def add(self, step: str, planned: str | None, pairs: Sequence[tuple[str, str]]) -> None:
        row = len(self.steps)
        self.steps.append(int(step))
        self.planned.append(int(planned) if planned else None)
        for key, value in pairs:
            column = self.cells.setdefault(key, [])
            column += [None] * (row - len(column))
            if len(column) == row:
                column.append(value)

    def complete(self) -> dict[str, list[str | None]]:
        return {key: column + [None] * (len(self.steps) - len(column)) for key, column in self.cells.items()}


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file; it is split into runs where the step falls back to the start.

    Raises:
        LogError: No line of the log is whole.
    """
    (file,) = group
    text = LogText.of(file)
    before, after, config, hardware, software = _Lines(), _Lines(), {}, {}, {}
    lines = before
    in_settings = False
    for _, line in text.lines():
        found = _LINE.match(line) if line.startswith("step:") else None
        if found is not None:
            lines.add(found[1], found[2], _PAIR.findall(found[3]))
        elif lines is before and _RULE.match(line):
            lines = after
        elif line.startswith("class "):
            in_settings = "Hyperparameters" in line
        elif in_settings and lines is before:
            _take_setting(line, config)
        else:
            _take_machine(line, hardware, software)
    notes = [*text.notes, *text.length_notes()]
    # A rule of = signs ends the script; what looked like a step above it was written into the script.
    chosen = after if len(after.steps) >= len(before.steps) else before
    if chosen is after and before.steps:
        notes.append(f"{were(len(before.steps), 'line')} passed over as part of the script above the log.")
    elif before.steps and after.steps:
        chosen = _joined(before, after)
    if not chosen.steps:
        raise file.problem("", "no line of the log is whole", "it may be cut off after the script")
    if "device_name" in hardware:
        hardware["devices"] = len(hardware.pop("found"))
    template = Manifest(
        run_id=run_id(group), name=run_name(file), format=READER.name,
        config=config, hardware=hardware, software=software, files=(file.name,), notes=tuple(notes),
        device=str(hardware.get("device_name", "")),
    )  # fmt: skip
    return _runs(chosen, template, options)


def _joined(first: _Lines, second: _Lines) -> _Lines:
    joined = _Lines()
    for part in (first, second):
        cells = part.complete()
        for row, (step, planned) in enumerate(zip(part.steps, part.planned, strict=True)):
            pairs = [(key, value) for key, column in cells.items() if (value := column[row]) is not None]
            joined.add(str(step), None if planned is None else str(planned), pairs)
    return joined


def _take_setting(line: str, config: dict[str, object]) -> None:
    """Read a number, or a product of numbers, of the script's class of hyperparameters."""
    found = _SETTING.match(line)
    if found is None:
        return
    try:
        factors = [float(part) for part in found[2].split("*")]
    except ValueError:
        return
    value = float(np.prod(factors))
    config[found[1]] = int(value) if value.is_integer() and "e" not in found[2] and "." not in found[2] else value


def _take_machine(line: str, hardware: dict[str, object], software: dict[str, object]) -> None:
    torch, python, device = _TORCH.search(line), _PYTHON.search(line), _DEVICE.match(line)
    if torch is not None:
        software.update({"framework": "torch", "torch": torch[1]})
        if torch[2]:
            software["cuda"] = torch[2]
    if python is not None:
        software["python"] = python[1]
    if device is not None:
        hardware.setdefault("device_name", device[2].strip())
        hardware.setdefault("found", set()).add(device[1])  # type: ignore[attr-defined]


def _runs(lines: _Lines, template: Manifest, options: Options) -> list[Trace]:
    steps = np.array(lines.steps, np.int64)
    series = [Series("step", steps.astype(np.float64))]
    notes: list[str] = []
    for key, cells in lines.complete().items():
        parsed = parse_column(key, cells)
        if parsed is None:
            notes.append(f"{key!r} was left out: it holds no numbers.")
            continue
        series.append(parsed.series)
        notes += parsed.notes
    starts = run_starts(steps)
    if len(starts) > 1:
        notes.append(f"The step falls back to its start: {len(starts)} runs in one file.")
    template = template.with_notes(notes)
    traces: list[Trace] = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(steps)], strict=True)):
        planned = next((value for value in reversed(lines.planned[start:end]) if value is not None), None)
        manifest = template
        if len(starts) > 1:
            manifest = manifest.with_(
                run_id=f"{template.run_id}-{index + 1}", name=f"{template.name} (run {index + 1})"
            )
        if planned is not None:
            manifest = manifest.with_(config={**template.config, "steps_planned": planned})
        columns, clock_note = _one_clock([one.take(slice(start, end)) for one in series], steps[start:end])
        made = traces_from_columns(columns, manifest.with_notes(clock_note), options, split=False)
        traces += [_ended(trace, int(steps[end - 1]), planned) for trace in made]
    return traces


def _one_clock(series: list[Series], steps: np.ndarray) -> tuple[list[Series], list[str]]:
    """Leave out the times before the clock was set back, which the script does once compilation is over."""
    for position, one in enumerate(series):
        if one.name != "train_time":
            continue
        rows = np.arange(len(steps)) if one.missing is None else np.flatnonzero(~one.missing)
        falls = np.flatnonzero(np.diff(one.values[rows]) < 0)
        falls = falls[steps[rows[falls]] <= _CLOCK_RESTARTS] if len(falls) else falls
        if not len(falls):
            continue
        first = rows[falls[-1] + 1]
        missing = np.zeros(len(steps), bool) if one.missing is None else one.missing.copy()
        missing[:first] = True
        series[position] = Series(one.name, one.values, missing, one.unit, one.samples)
        return series, [
            f"The clock starts anew before step {steps[first]}; times before it (compilation) were left out."
        ]
    return series, []


def _ended(trace: Trace, last: int, planned: int | None) -> Trace:
    if planned is not None and last < planned and trace.manifest.status == "finished":
        note = f"The log ends at step {last:,} of {planned:,} planned."
        trace.manifest = trace.manifest.with_(status="interrupted").with_notes([note])
    return trace


READER = Reader(
    name="modded-nanogpt",
    label="modded-nanogpt log",
    summary="step:S/N lines behind the training script: losses, training time, steps planned, several runs in a file.",
    find=find,
    read=read,
)
