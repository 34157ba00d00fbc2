"""TensorBoard event files: the files of one folder are one run.

Three kinds of folder belong to the run of the folder above: what torch's ``add_hparams`` makes, named by a time; what
its ``add_scalars`` makes, named by the tag and the curve; and ``train``, ``validation`` and ``eval`` as Keras and
estimators make them. Their curves become columns of that run, with the folder's part of the name in front or behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.core.columns import Series
from foam_viz.logs.core.mask import masked
from foam_viz.logs.core.naming import optimizer_of, run_id
from foam_viz.logs.core.reader import ColumnRule, Group, LogFile, Options, Problem, Reader
from foam_viz.logs.core.records import certain
from foam_viz.logs.core.rows import traces_from_columns
from foam_viz.logs.formats.tensorboard_axes import over_samples, without_steps
from foam_viz.logs.parsing.dates import iso_date
from foam_viz.logs.parsing.event_file import EventFile, is_event_file, read_event_file, read_head
from foam_viz.trace import Manifest, Trace

STEP, CLOCK = "step of the event", "time of the event"
MOST_CELLS = 30_000_000
"""Rows times columns of one run. Curves beyond it, those with the fewest values, are left out, aloud."""

_TIME_FOLDER = re.compile(r"\d{9,10}\.\d+")
_SPLIT_FOLDERS = frozenset({"train", "validation", "valid", "val", "eval", "test"})
_GENERIC_FOLDERS = frozenset({"logs", "log", "tb", "tensorboard", "tb_logs", "runs", "events", "summaries", "tfevents"})


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim event files by their first record, or by their name when that is damaged; one group a run."""
    folders: dict[str, list[LogFile]] = {}
    for file in files:
        if _is_mine(file):
            folders.setdefault(file.folder, []).append(file)
    runs: dict[str, list[LogFile]] = {}
    for folder in sorted(folders):
        runs.setdefault(_home(folder, folders), []).extend(folders[folder])
    return [tuple(group) for group in runs.values()]


def _is_mine(file: LogFile) -> bool:
    if is_event_file(file.head):
        return ".tfevents" in file.base or bool(np.isfinite(read_head(file.head).first_time))
    return ".tfevents." in file.base and b"git-lfs" not in file.head[:200]


def _home(folder: str, folders: dict[str, list[LogFile]]) -> str:
    """The folder of the run to which the event files of a folder belong."""
    above, _, last = folder.rpartition("/")
    if last in _SPLIT_FOLDERS:
        siblings = (f"{above}/{name}".lstrip("/") for name in _SPLIT_FOLDERS - {last})
        return above if above in folders or any(name in folders for name in siblings) else folder
    if above not in folders:
        return folder
    if _TIME_FOLDER.fullmatch(last) or _added_curve(last, _first_tags(folders[folder])):
        return above
    return folder


def _first_tags(files: Iterable[LogFile]) -> set[str]:
    return {tag for file in files for tag in read_head(file.head).tags}


def _added_curve(folder: str, tags: Iterable[str]) -> str:
    """What ``add_scalars`` put behind the one tag in the name of a folder; empty when it made no such folder."""
    only = list(tags)
    if len(only) != 1:
        return ""
    start = only[0].replace("/", "_") + "_"
    return folder.removeprefix(start) if folder.startswith(start) else ""


@dataclass(frozen=True)
class Merged:
    """The scalars of several event files as one table.

    Attributes:
        steps: (n,) float64, rising.
        clock: Seconds since ``first`` at which something was logged last for a step.
        curves: A column for each tag.
        first: Time of the first record, seconds since 1970; NaN when not told.
        config: Hyperparameters.
        notes: What was left out, damaged or logged twice.
    """

    steps: np.ndarray
    clock: Series
    curves: list[Series]
    first: float
    config: dict[str, object]
    notes: list[str]


def merged(files: Sequence[LogFile], home: str | None = None) -> Merged:
    """Read event files of one run.

    Args:
        files: In any order.
        home: Folder of the run; curves of files in other folders carry the folder's part of their name. None when all
            lie in one folder.

    Raises:
        LogError: None of them holds a scalar.
    """
    events = sorted(((read_event_file(file.path), file) for file in files), key=_order)
    notes = [note for content, file in events for note in _notes(content, file)]
    config: dict[str, object] = {}
    for content, _ in events:
        config.update(content.hyperparameters)
    parts = [
        (content, _prefixed(content.tags, file.folder, file.folder if home is None else home))
        for content, file in events
        if len(content.value)
    ]
    if not parts:
        kept = " ".join(notes) or f"{sum(content.records for content, _ in events):,} records, none with a number"
        raise files[0].problem("", f"holds no scalars: {kept}", "log numbers with add_scalar or tf.summary.scalar")
    if len(events) > 1:
        notes.append(f"{len(events)} event files were read as one run; the wall clock includes the time between them.")
    first = float(np.fmin.reduce([content.first_time for content, _ in parts]))
    steps, clock, curves = _table(parts, notes)
    return Merged(
        steps, Series(CLOCK, clock - first, _missing(np.isfinite(clock - first))), curves, first, config, notes
    )


def read(group: Group, options: Options) -> list[Trace]:
    """Read the event files of one run.

    Raises:
        LogError: None of them holds a scalar.
    """
    home = min((file.folder for file in group), key=len)
    if len({file.folder for file in group}) > 1 and home.rpartition("/")[2] in _SPLIT_FOLDERS:
        home = home.rpartition("/")[0]
    found = merged(group, home)
    config, hidden = (found.config, []) if options.show_secrets else masked(found.config)
    template = Manifest(
        run_id=run_id(group),
        name=_name(home, group[0]),
        format=READER.name,
        created=iso_date(found.first),
        optimizer=optimizer_of(config),
        config=config,
        files=tuple(file.name for file in group),
        notes=tuple([*found.notes, *hidden]),
    )
    known = {STEP: ColumnRule(target="step", unit="step"), CLOCK: ColumnRule(target="total_seconds", unit="s")}
    series = [Series(STEP, found.steps), found.clock, *found.curves]
    traces = traces_from_columns(series, template, certain(options, **known), split=False)
    if not traces:
        raise group[0].problem("", "holds scalars at negative steps only", "steps count from 0")
    return traces


def _order(item: tuple[EventFile, LogFile]) -> tuple[float, str]:
    content, file = item
    return (content.first_time if np.isfinite(content.first_time) else np.inf, file.name)


def _prefixed(tags: Sequence[str], folder: str, home: str) -> list[str]:
    last = folder.rpartition("/")[2]
    if folder == home or _TIME_FOLDER.fullmatch(last):
        return list(tags)
    curve = _added_curve(last, tags)
    return [f"{tag}/{curve}" if curve else f"{last}/{tag}" for tag in tags]


def _notes(content: EventFile, file: LogFile) -> list[str]:
    notes = []
    if content.skipped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in content.skipped.most_common())
        notes.append(f"{file.name}: left out, being no scalars: {kinds}.")
    if content.damage is not None and content.damage.reason:
        place = f"record {content.damage.record:,}, byte {content.damage.offset:,}"
        reason = (
            f"{content.damage.reason}; the {content.damage.record:,} records before it were read, nothing behind it"
        )
        notes.append(str(Problem(file.name, place, reason, "copy the file again from where it was written")))
    elif content.damage is not None:
        notes.append(
            f"{file.name} ends within a record (byte {content.damage.offset:,}), as the file of a run that is still "
            "writing does; the whole records were read."
        )
    elif file.size == 0:
        notes.append(f"{file.name} is empty.")
    return notes


def _table(
    parts: Sequence[tuple[EventFile, list[str]]], notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[Series]]:
    """One row a step over all curves: the step, the latest time at which something was logged for it, the values."""
    names = list(dict.fromkeys(name for _, tags in parts for name in tags))
    number = {name: index for index, name in enumerate(names)}
    tag = np.concatenate([np.array([number[name] for name in tags])[content.tag] for content, tags in parts])
    step, time, value = (
        np.concatenate([getattr(content, field) for content, _ in parts]) for field in ("step", "wall_time", "value")
    )
    small = tag.astype(np.uint16) if len(names) < 2**16 else tag  # numpy sorts 16-bit integers in linear time
    order = np.argsort(small, kind="stable")
    bounds = np.searchsorted(tag[order], np.arange(len(names) + 1))
    logged = {name: order[bounds[index] : bounds[index + 1]] for index, name in enumerate(names)}
    logged = over_samples(without_steps(logged, step, time, notes), step, value, notes)
    names = list(logged)
    curves, repeated = {}, {}
    for name, rows in logged.items():
        kept = _last_of_each_step(step[rows])
        repeated[name] = len(rows) - len(kept)
        curves[name] = rows[kept]
    if any(repeated.values()):
        worst = sorted((name for name in names if repeated[name]), key=lambda name: -repeated[name])
        listed = ", ".join(f"{name!r} {repeated[name]:,}" for name in worst[:5]) + (", ..." if len(worst) > 5 else "")
        notes.append(f"Values logged again for a step they had, as after a resume; the last was kept: {listed}.")
    chosen, steps = _fitting(curves, step, notes)
    clock = np.full(len(steps), -np.inf)
    series = []
    for name in chosen:
        rows = curves[name]
        same = len(rows) == len(steps)
        where = slice(None) if same else np.searchsorted(steps, step[rows])
        clock[where] = np.fmax(clock[where], time[rows])
        if same:
            series.append(Series(name, value[rows]))
            continue
        values, present = np.full(len(steps), np.nan), np.zeros(len(steps), bool)
        values[where], present[where] = value[rows], True
        series.append(Series(name, values, _missing(present)))
    return steps.astype(np.float64), clock, series


def _missing(present: np.ndarray) -> np.ndarray | None:
    return None if present.all() else ~present


def _last_of_each_step(steps: np.ndarray) -> np.ndarray:
    """Rows (k,) by rising step, of several with one step the last."""
    if np.all(steps[1:] > steps[:-1]):
        return np.arange(len(steps))
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    return order[np.append(ordered[1:] != ordered[:-1], True)]


def _fitting(curves: dict[str, np.ndarray], step: np.ndarray, notes: list[str]) -> tuple[list[str], np.ndarray]:
    """The curves whose table stays within :data:`MOST_CELLS`, and all their steps."""
    by_size = sorted(curves, key=lambda name: -len(curves[name]))
    steps = step[curves[by_size[0]]]
    chosen = {by_size[0]}
    for name in by_size[1:]:
        own = step[curves[name]]
        union = steps if np.array_equal(own, steps) else np.union1d(steps, own)
        if len(union) * (len(chosen) + 1) <= MOST_CELLS:
            steps = union
            chosen.add(name)
    left = [name for name in curves if name not in chosen]
    if left:
        listed = ", ".join(map(repr, left[:5]))
        notes.append(
            f"{len(left):,} of {len(curves):,} curves were left out, being too many at steps unlike: {listed}."
        )
    return [name for name in curves if name in chosen], steps


def _name(home: str, file: LogFile) -> str:
    parts = [part for part in home.split("/") if part]
    telling = [part for part in parts if part not in _GENERIC_FOLDERS and not _TIME_FOLDER.fullmatch(part)]
    if not telling:
        return file.base
    return "/".join(telling[-2:]) if re.fullmatch(r"(version|trial|run|seed)?_?\d+", telling[-1]) else telling[-1]


READER = Reader(
    name="tensorboard",
    label="TensorBoard event files",
    summary="Scalars of torch, tensorboardX, JAX and TensorFlow 2, check sums tested; files of one folder are one run.",
    find=find,
    read=read,
)
