"""Lists of numbers in a JSON document as columns: of one length or of several, with a step of their own or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from foam_viz.logs.core.column_names import HELD_OUT, TEST, TRAIN, role_of, words
from foam_viz.logs.core.metric_points import Points
from foam_viz.logs.parsing.cells import parse_column

_STEPS = ("steps", "step", "x", "iterations", "iters", "epochs")
_VALUES = ("values", "value", "y")
_TIMES = ("timestamps", "timestamp", "wall_time", "times")
_SPLITS = TRAIN | HELD_OUT | TEST
_MEASURES = frozenset({"loss", "acc", "accuracy", "error", "score", "ppl", "perplexity", "f1", "bleu", "auc", "reward"})
_MOST_METRICS = 2000
_DEEPEST = 4
_WORDS = frozenset({"nan", "inf", "-inf", "infinity", "-infinity"})


def is_number(value: object) -> bool:
    """Say whether a value of a document is a number, or the word for one that JSON has no form for."""
    return isinstance(value, int | float) or isinstance(value, str) and value.lower() in _WORDS


def is_column(value: object) -> bool:
    """Say whether a value of a document is a list of numbers with few gaps."""
    if not isinstance(value, list) or len(value) < 2:
        return False
    return sum(is_number(item) or item is None for item in value) > 0.9 * len(value)


def columns_of(document: Mapping[str, object]) -> dict[str, list[object]]:
    """Return the lists of numbers of a document, with those one level below: ``{"train": {"loss": [...]}}``.

    What lies below counts where it lies beside other lists, or where the names above are those of splits; otherwise the
    names above may be those of runs.
    """
    columns = {key: value for key, value in document.items() if isinstance(value, list) and is_column(value)}
    below = {
        f"{key}/{inner}": value
        for key, part in document.items()
        if isinstance(part, dict)
        for inner, value in part.items()
        if isinstance(value, list) and is_column(value)
    }
    above = {key.partition("/")[0] for key in below}
    split = bool(above) and all(set(words(key)) <= _SPLITS and words(key) for key in above)
    # A metric with a step of its own, {"steps": [...], "values": [...]}, is found elsewhere.
    own = any(_points(part) is not None for part in document.values() if isinstance(part, dict))
    return {**columns, **below} if (columns or split) and not own else columns


def runs_by_name(document: Mapping[str, object]) -> list[dict[str, object]]:
    """Return records of end values under the names of their runs, ``{"adam": {"loss": 1.5}, ...}``, or none."""
    parts = {key: part for key, part in document.items() if isinstance(part, dict)}
    if len(parts) < 2 or len(parts) < len(document):
        return []
    first = {key for key, value in next(iter(parts.values())).items() if isinstance(value, int | float)}
    measured = {key for key in first if _MEASURES & set(words(key))}
    if not measured or any(key.isdecimal() for key in parts):
        return []
    for part in parts.values():
        scalar = all(isinstance(value, int | float | str | None) for value in part.values())
        if not scalar or not measured & part.keys():
            return []
    return [
        {"run": key, **{name: value for name, value in part.items() if name != "run"}} for key, part in parts.items()
    ]


def metric_lists(document: Mapping[str, object]) -> dict[str, Points]:
    """Find metrics that carry their steps: ``{"train.loss": {"steps": [...], "values": [...]}}``, nested or not.

    Sacred writes them so, and ClearML's scalars have ``x`` and ``y``. Empty when less than half of the document is so.
    """
    found: dict[str, Points] = {}
    others = _collect(document, "", found, 0)
    return found if found and len(found) >= others else {}


def _collect(document: Mapping[str, object], prefix: str, found: dict[str, Points], depth: int) -> int:
    others = 0
    for key, value in document.items():
        if not isinstance(value, dict) or len(found) >= _MOST_METRICS:
            others += isinstance(value, list)
            continue
        points = _points(value)
        if points is not None:
            found[f"{prefix}{key}"] = points
        elif depth < _DEEPEST:
            others += _collect(value, f"{prefix}{key}/", found, depth + 1)
    return others


def _points(metric: Mapping[str, object]) -> Points | None:
    steps = next((metric[key] for key in _STEPS if key in metric), None)
    values = next((metric[key] for key in _VALUES if key in metric), None)
    if not isinstance(steps, list) or not isinstance(values, list) or len(steps) != len(values) or not values:
        return None
    if all(step is None for step in steps):
        steps = [0] * len(steps)  # numbered in order, as those of a metric logged without steps
    if not all(isinstance(step, int | float | None) for step in steps) or not all(
        is_number(value) or value is None for value in values
    ):
        return None
    times = next((metric[key] for key in _TIMES if key in metric), None)
    return Points(_array(steps), _array(values), _seconds(times, len(steps)))


def _array(values: Sequence[object]) -> np.ndarray:
    numbers = np.full(len(values), np.nan)
    for position, value in enumerate(values):
        try:
            numbers[position] = np.nan if value is None else float(value)  # type: ignore[arg-type]
        except OverflowError:
            numbers[position] = np.inf
    return numbers


def _seconds(times: object, size: int) -> np.ndarray | None:
    if not isinstance(times, list) or len(times) != size:
        return None
    if all(isinstance(time, int | float) for time in times):
        return _array(times)
    parsed = parse_column("timestamps", [time if isinstance(time, str) else None for time in times])
    return parsed.series.values if parsed is not None and parsed.series.unit == "date" else None


def groups_of_lists(columns: Mapping[str, list[object]], notes: list[str]) -> list[dict[str, list[object]]]:
    """Put lists beside each other that belong together; lists of another length where they can only belong.

    A list with a step of its own (``val_steps`` beside ``val_loss``) keeps it. One that is nearly as long as the others
    stands at the first of their rows, one whose length divides theirs at every k-th. What fits nowhere is a group, and
    so a run, of its own.

    Returns:
        Groups; the lists of one group have one length.
    """
    sizes = {len(values) for values in columns.values()}
    if len(sizes) == 1:
        return [dict(columns)]
    kinds = {size: {role_of(key).kind for key in columns if len(columns[key]) == size} for size in sizes}
    size = max(sizes, key=lambda size: ("step" in kinds[size], "loss" in kinds[size], size))
    main = {key: values for key, values in columns.items() if len(values) == size}
    rest: dict[int, dict[str, list[object]]] = {}
    for key, values in columns.items():
        if len(values) != size:
            rest.setdefault(len(values), {})[key] = values
    step = next((key for key in main if _is_step(key)), None)
    alone = []
    for length, own in rest.items():
        own_step = next((key for key in own if _is_step(key)), None)
        if own_step is not None and step is not None:
            main, placed = _by_own_step(main, step, own, own_step)
            names = ", ".join(repr(key) for key in own if key != own_step)
            notes.append(f"{names} with {length:,} values were put at their own steps, {own_step!r}.")
        else:
            rows, words_of = _rows(length, len(next(iter(main.values()))))
            if rows is None:
                alone.append(own)
                continue
            placed = {key: _spread(values, rows, len(next(iter(main.values())))) for key, values in own.items()}
            names = ", ".join(map(repr, own))
            notes.append(f"{names}: {length:,} values where other lists have {size:,}; {words_of}. This is a guess.")
        main.update(placed)
    for own in alone:
        names = ", ".join(map(repr, own))
        notes.append(
            f"{names}: {len(next(iter(own.values()))):,} values where other lists have {size:,}; nothing says where "
            "they belong, so they are a run of their own."
        )
    return [main, *alone]


def _is_step(key: str) -> bool:
    plain = "_".join(word for word in words(key) if word not in _SPLITS)
    return role_of(key).kind == "step" or role_of(plain).kind == "step"


def _by_own_step(
    main: dict[str, list[object]], step: str, own: Mapping[str, list[object]], own_step: str
) -> tuple[dict[str, list[object]], dict[str, list[object]]]:
    """Give both groups the rows of all their steps."""
    union = sorted({value for value in [*main[step], *own[own_step]] if isinstance(value, int | float)})
    place: dict[object, int] = {value: row for row, value in enumerate(union)}
    joined = {key: _at(main[step], values, place) for key, values in main.items() if key != step}
    placed = {key: _at(own[own_step], values, place) for key, values in own.items() if key != own_step}
    return {step: list(union), **joined}, placed


def _at(steps: Sequence[object], values: Sequence[object], place: Mapping[object, int]) -> list[object]:
    result: list[object] = [None] * len(place)
    for at, value in zip(steps, values, strict=True):
        if at in place:
            result[place[at]] = value
    return result


def _rows(length: int, size: int) -> tuple[np.ndarray | None, str]:
    """Rows of a longer list at which the values of a shorter one stand, and why; None where nothing tells."""
    if length > size:
        return None, ""
    if length >= 0.9 * size or size - length == 1:
        return np.arange(length), "they were put at the first rows"
    if size % length == 0:
        every = size // length
        return np.arange(1, length + 1) * every - 1, f"each was put at the end of {every:,} rows"
    if length > 1 and (size - 1) % (length - 1) == 0:
        every = (size - 1) // (length - 1)
        return np.arange(length) * every, f"each was put at every {every:,}th row, from the first"
    if length > 1 and size % (length - 1) == 0:
        every = size // (length - 1)
        return np.minimum(np.arange(length) * every, size - 1), f"each was put at every {every:,}th row, from the first"
    return None, ""


def _spread(values: Sequence[object], rows: np.ndarray, size: int) -> list[object]:
    result: list[object] = [None] * size
    for row, value in zip(rows, values, strict=True):
        result[int(row)] = value
    return result
