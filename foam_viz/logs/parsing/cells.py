"""Cells of text to numbers: blanks, NaN, thousands separators, decimal commas, percent signs, units, dates, tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from foam_viz.logs.core.column_names import COUNTS, SECONDS
from foam_viz.logs.core.columns import Series

BLANK = frozenset({"", "null", "NULL", "None", "none", "NA", "N/A", "n/a", "#N/A", "-", "--", "<NA>", "No log"})
"""What stands for "not logged" in text. NaN does not: it is a value of a run."""

_WORDS = {
    "nan": np.nan, "-nan": np.nan, "+nan": np.nan, "nan(ind)": np.nan, "-nan(ind)": np.nan, "1.#qnan": np.nan,
    "inf": np.inf, "+inf": np.inf, "-inf": -np.inf, "infinity": np.inf, "+infinity": np.inf, "-infinity": -np.inf,
    "1.#inf": np.inf, "-1.#inf": -np.inf, "true": 1.0, "false": 0.0,
}  # fmt: skip
_COUNTS = {unit: COUNTS[unit.lower()] for unit in ("k", "K", "M", "B")}
_LONGEST_NUMBER = 1000
# An exponent, a fraction and digits share no character that two parts could take: no text makes these slow.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_BETWEEN = "'’_ \u00a0\u202f"
_THOUSANDS = re.compile(rf"[+-]?\d{{1,3}}(?:[,{_BETWEEN}]\d{{3}})+(?:\.\d+)?")
_COMMA = re.compile(rf"[+-]?(?:\d{{1,3}}(?:[.{_BETWEEN}]\d{{3}})+|\d*),\d+(?:[eE][+-]?\d+)?")
_DOTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
_TENSOR = re.compile(r"(?:tensor|array|np\.float\d+|np\.int\d+)\(([^,()]+)[^()]*\)")
_UNIT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|nan|inf)\s*(%|[a-zA-Zµ]{1,8}(?:/[a-zA-Z]{1,8})?)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_OTHER_DATE = re.compile(
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})|(?P<a>\d{1,2})[/.](?P<b>\d{1,2})[/.](?P<late>\d{4}))"
    r"[ T_,]{1,2}(?P<hour>\d{1,2})[:-](?P<minute>\d\d)(?:[:-](?P<second>\d\d)(?:[.,](?P<part>\d{1,6}))?)?"
    r"(?: ?(?P<half>[AaPp][Mm]))?"
)
_CLOCK = re.compile(r"(?:(\d+) days?,? )?(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?")


@dataclass(frozen=True)
class Parsed:
    """What became of the cells of a column.

    Attributes:
        series: The numbers.
        notes: What was assumed and what could not be read.
    """

    series: Series
    notes: tuple[str, ...] = ()


def parse_number(text: str, *, decimal_comma: bool = False) -> tuple[float, str] | None:
    """Return a number and its unit (empty, ``%``, ``ms``, ``date``...), or None when the text is none.

    Args:
        text: A cell that is not blank.
        decimal_comma: Whether ``1,234`` is a bit more than one, not a thousand.
    """
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        return None
    if _NUMBER.fullmatch(text):
        return float(text), ""
    if _DATE.match(text):
        return _date_or_clock(text)
    word = _WORDS.get(text.lower())
    if word is not None:
        return word, ""
    if len(text) > 60:
        return None
    if decimal_comma and _COMMA.fullmatch(text):
        return float(re.sub(rf"[.{_BETWEEN}]", "", text).replace(",", ".")), ""
    if _THOUSANDS.fullmatch(text):
        return float(re.sub(r"[^\d.+-]", "", text)), ""
    if text.count(".") > 1 and _DOTS.fullmatch(text):
        return float(text.replace(".", "")), ""
    inside = _TENSOR.fullmatch(text)
    if inside is not None:
        return parse_number(inside.group(1))
    with_unit = _UNIT.fullmatch(text)
    if with_unit is not None:
        return float(with_unit.group(1)), with_unit.group(2)
    return _date_or_clock(text)


def _date_or_clock(text: str) -> tuple[float, str] | None:
    if _DATE.match(text):
        try:
            date = datetime.fromisoformat(text.replace(",", "."))
        except ValueError:
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp(), "date"
    other = _OTHER_DATE.fullmatch(text)
    if other is not None:
        seconds = _seconds_of(other)
        return None if seconds is None else (seconds, "date")
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return None
    days, first, second, third = clock.groups()
    seconds = (
        float(first) * 60 + float(second) if third is None else float(first) * 3600 + float(second) * 60 + float(third)
    )
    return seconds + 86400 * int(days or 0), "s"


def _seconds_of(date: re.Match[str]) -> float | None:
    """Return seconds since 1970: the month goes first in ``11/26/2026``, the day before dots and above 12."""
    first, second = int(date["a"] or 0), int(date["b"] or 0)
    day_first = "." in date.group()[:3] or first > 12
    month, day = (int(date["month"]), int(date["day"])) if date["year"] else (first, second)
    if not date["year"] and day_first:
        month, day = second, first
    hour = int(date["hour"])
    if date["half"]:
        hour = hour % 12 + 12 * (date["half"].lower() == "pm")
    try:
        whole = datetime(
            int(date["year"] or date["late"]),
            month,
            day,
            hour,
            int(date["minute"]),
            int(date["second"] or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return whole.timestamp() + float(f"0.{date['part'] or 0}")


def parse_column(name: str, cells: Sequence[str | None], *, decimal_comma: bool = False) -> Parsed | None:
    """Turn a column of text into numbers where most of its cells are; None when they are not.

    Args:
        name: Name of the column.
        cells: Texts; None and those of :data:`BLANK` are "not logged".
        decimal_comma: See :func:`parse_number`.
    """
    notes: list[str] = []
    if decimal_comma and _groups_with_dots(cells):
        cells = [cell if cell is None else cell.replace(".", "") for cell in cells]
        notes.append(f"{name!r}: dots in numbers were taken for thousands separators.")
    cells = _one_order(name, cells, notes)
    plain = _plain_numbers(name, cells)
    if plain is not None:
        return Parsed(plain, tuple(notes))
    values = np.full(len(cells), np.nan)
    missing = np.zeros(len(cells), bool)
    units: Counter[str] = Counter()
    odd: list[str] = []
    bad = grouped = 0
    for index, cell in enumerate(cells):
        if cell is None or cell.strip() in BLANK:
            missing[index] = True
            continue
        parsed = parse_number(cell, decimal_comma=decimal_comma)
        if parsed is None:
            missing[index] = True
            bad += 1
            if bad <= 3:
                odd.append(cell[:40])
            continue
        values[index] = parsed[0]
        units[parsed[1]] += 1
        grouped += "," in cell and not decimal_comma and parsed[1] == "" and "(" not in cell
    good = sum(units.values())
    if not good or bad > good:
        return None
    if bad:
        examples = ", ".join(repr(cell) for cell in odd)
        notes.append(f"{name!r}: {bad:,} cells are no numbers and were left blank: {examples}.")
    if grouped:
        notes.append(f"{name!r}: commas in {grouped:,} numbers were taken for thousands separators.")
    unit = _one_unit(name, values, cells, units, notes)
    present = [str(cell).strip() for cell, gone in zip(cells, missing, strict=True) if not gone]
    samples = tuple(dict.fromkeys((present[0], present[len(present) // 2], present[-1])))
    return Parsed(Series(name, values, missing if missing.any() else None, unit, samples), tuple(notes))


def _groups_with_dots(cells: Sequence[str | None]) -> bool:
    """Say whether every dot of a column stands before three digits, in a file with decimal commas."""
    dotted = [cell.strip() for cell in cells if cell is not None and "." in cell]
    return bool(dotted) and all(_DOTS.fullmatch(cell.partition(",")[0]) for cell in dotted)


def _one_order(name: str, cells: Sequence[str | None], notes: list[str]) -> Sequence[str | None]:
    """Put dates with the day in front into one order: one day after the 12th settles it for the column."""
    first = next((cell for cell in cells if cell is not None and cell.strip()), "")
    found = _OTHER_DATE.fullmatch(first.strip()) if len(first) < 60 else None
    if found is None or found["year"] or "." in first.strip()[:3]:
        return cells
    dates = [_OTHER_DATE.fullmatch(cell.strip()) if cell and len(cell) < 60 else None for cell in cells]
    known = [date for date in dates if date is not None and date["a"]]
    if any(int(date["a"]) > 12 for date in known):
        return [
            cell
            if date is None or not date["a"]
            else f"{date['b']}/{date['a']}{date.group()[date.end('b') :]}"
            if int(date["a"]) <= 12
            else cell
            for cell, date in zip(cells, dates, strict=True)
        ]
    if not any(int(date["b"]) > 12 for date in known):
        notes.append(f"{name!r}: of day and month the month was taken to stand first. This is a guess.")
    return cells


def _plain_numbers(name: str, cells: Sequence[str | None]) -> Series | None:
    """The common case at ten times the speed: every cell is a number as Python reads it, or blank."""
    try:
        numbers = [np.nan if cell is None or cell in BLANK else float(cell) for cell in cells]
    except ValueError:
        return None
    missing = np.array([cell is None or cell in BLANK for cell in cells], bool)
    present = np.flatnonzero(~missing)
    if not len(present):
        return None
    samples = tuple(dict.fromkeys(str(cells[i]).strip() for i in (present[0], present[len(present) // 2], present[-1])))
    return Series(name, np.array(numbers, float), missing if missing.any() else None, "", samples)


def _one_unit(name: str, values: np.ndarray, cells: Sequence[str | None], units: Counter[str], notes: list[str]) -> str:
    """Settle the unit of a column; a mix of units of time becomes seconds."""
    named = [unit for unit in units if unit]
    if len(units) > 1 and all(unit in _COUNTS for unit in named):
        for index, cell in enumerate(cells):
            parsed = parse_number(cell) if cell is not None and cell.strip() not in BLANK else None
            if parsed is not None:
                values[index] = parsed[0] * (_COUNTS[parsed[1]] if parsed[1] else 1.0)
        notes.append(f"{name!r} mixes {', '.join(sorted(named))} and plain numbers; all became plain numbers.")
        return ""
    if len(named) == 1 and (units[""] == 0 or named[0] != "date"):
        return named[0]
    if len(named) > 1 and all(unit in SECONDS for unit in named):
        for index, cell in enumerate(cells):
            parsed = parse_number(cell) if cell is not None and cell.strip() not in BLANK else None
            if parsed is not None and parsed[1]:
                values[index] = parsed[0] * SECONDS[parsed[1]]
        notes.append(f"{name!r} mixes units of time ({', '.join(sorted(named))}); all became seconds.")
        return "s"
    if named:
        notes.append(f"{name!r} mixes units ({', '.join(sorted(named))}); the numbers were kept as they stand.")
    return ""


def uses_decimal_comma(cells: Sequence[str]) -> bool | None:
    """Say whether commas in cells are decimal: True, False, or None when the cells leave it open.

    ``0,5`` and ``1.234,5`` can only be decimal; ``1,234.5`` and ``1,234,567`` cannot be.
    """
    open_question = False
    for cell in cells:
        if "," not in cell:
            continue
        text = cell.strip()
        if _THOUSANDS.fullmatch(text) and text.lstrip("+-")[0] != "0":
            if "." in text or text.count(",") > 1:
                return False
            open_question = True
        elif _COMMA.fullmatch(text):
            return True
    return None if open_question else False
