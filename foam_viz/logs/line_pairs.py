"""One line of a text log to names and numbers, whatever stands between them."""

from __future__ import annotations

import re
from functools import lru_cache

from foam_viz.logs.column_names import HELD_OUT, TEST, TRAIN, role_of, words

_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?")
_CLOCK = re.compile(r"(?<![\d:])\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?![\d:])")
_BAR = re.compile(r"\|\s{0,4}(\d{1,12})/(\d{1,12})\s{0,4}\[[^\]<]{0,20}<[^,\]]{0,20},?\s{0,4}[^,\]]{0,20}")
_PAIR = re.compile(
    r"""
    (?<![\w.])
    (?P<key>[A-Za-z_][\w./@%-]{0,60}(?:[ ][A-Za-z_][\w./@%-]{0,60}){0,5}(?:[ ]?[(\[][A-Za-z/%]{1,12}[)\]])?)
    (?P<mark>["']?\s{0,8}(?:=>|->|[:=])\s{0,8}|["']?\s{1,8})
    (?:["'(\[]{0,2}(?:(?:tensor|np\.float\d\d|np\.int\d\d)\()?)
    (?P<value>
        [+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)
        | [+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?
        | [+-]?(?:nan|inf|infinity)(?![A-Za-z])
    )
    (?P<unit>%|[A-Za-zµ]{1,4}(?:/[A-Za-z]{1,6})?|[ ](?:ms|us|ns|sec|secs|s|min|mins|h|%)(?![\w/]))?
    (?!\w|\.\d|[-:]\d)
    (?:\s?/\s?(?P<total>\d{1,15})(?![\w.]))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SPLITS = TRAIN | HELD_OUT | TEST
_SHARED = ("step", "epoch", "tokens", "optimizer_seconds", "total_seconds", "timestamp", "learning_rate")
_LEVELS = frozenset(
    {"info", "debug", "warning", "warn", "error", "critical", "notice", "trace", "at", "and", "with", "is"}
)
_WORD = re.compile(r"[A-Za-z]+")


def pairs_of(line: str) -> dict[str, str]:
    """Return what a line says as names and numbers in text, in its order; the first of a name stays.

    A date at the line's beginning comes under ``timestamp``, the place of a progress bar under ``step`` (counted over
    epochs where the line has the epoch too), and ``10/500`` keeps its total. Names after a word such as ``val`` or
    ``[eval]`` get it in front, so that two losses of one line stay apart.
    """
    found: dict[str, str] = {}
    head = line[:80]
    date = _DATE.search(head)
    if date is not None:
        found["timestamp"] = date.group().replace(",", ".")
        line = line.replace(date.group(), " ", 1)
    line = _CLOCK.sub(" ", line) if ":" in head else line
    bar = _BAR.search(line)
    if bar is not None:
        line = line[: bar.start()] + " | " + line[bar.end() :]
    split, end = "", 0
    for match in _PAIR.finditer(line):
        name, rest = _name(match["key"], not match["mark"].strip("\"' \t"))
        split = _split_in(line[end : match.start()] + " " + rest, split)
        end = match.end()
        if not name:
            continue
        if split and _needs_split(name):
            name = f"{split}/{name}"
        value = match["value"] + (match["unit"] or "").strip()
        found.setdefault(name, f"{match['value']}/{match['total']}" if match["total"] else value)
    if bar is not None and not any(role_of(name).kind == "step" for name in found):
        found["step"] = _bar_step(int(bar[1]), int(bar[2]), found)
    return found


@lru_cache(maxsize=4096)
def _name(phrase: str, plain: bool) -> tuple[str, str]:
    """Pick the name out of the words before a number; returns it and the words left over.

    The longest ending that names a known quantity is the name, unless more than two words stand before it. Otherwise
    all words are, except where nothing but a blank stands before the number: there it is the last.
    """
    parts = phrase.split(" ")
    for place in range(len(parts)) if plain else range(min(len(parts), 3)):
        if role_of(" ".join(parts[place:])).kind:
            return " ".join(parts[place:]), " ".join(parts[:place])
    if plain:
        return ("", phrase) if parts[-1].lower() in _LEVELS else (parts[-1], " ".join(parts[:-1]))
    while parts and parts[0].lower() in _LEVELS:
        parts = parts[1:]
    return " ".join(parts), ""


@lru_cache(maxsize=4096)
def _needs_split(name: str) -> bool:
    return role_of(name).kind not in _SHARED and not _SPLITS & set(words(name))


def _split_in(text: str, before: str) -> str:
    """Return the last word of a text that tells training from evaluation, else what was told before."""
    for word in reversed(_WORD.findall(text[-400:])):
        lower = word.lower()
        if lower in TRAIN:
            return ""
        if lower in _SPLITS and lower not in ("out", "held"):
            return lower
    return before


def _bar_step(place: int, total: int, found: dict[str, str]) -> str:
    epoch = next((value for name, value in found.items() if role_of(name).kind == "epoch"), "")
    epochs = epoch.partition("/")[0]
    return str(int(epochs) * total + place) if epochs.isdecimal() and len(epochs) < 9 else f"{place}/{total}"
