"""One line of a text log to names and numbers, whatever stands between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from foam_viz.logs.core.column_names import HELD_OUT, TEST, TRAIN, role_of, words
from foam_viz.logs.parsing.line_shapes import ShapeCache, shape_of

_PAIR = re.compile(
    r"""
    (?<![\w./])
    (?P<key>[A-Za-z_][\w./@%-]{0,60}(?:[ ](?!(?:nan|inf|infinity)\b)[A-Za-z_][\w./@%-]{0,60}){0,5}
        (?:[ ]?[(\[][A-Za-z/%]{1,12}[)\]])?)
    (?P<mark>["']?\s{0,8}(?:=>|->|[:=])\s{0,24}|["']?\s{1,12})
    (?:["'(\[]{0,2}(?:(?:tensor|np\.float\d\d|np\.int\d\d)\()?)
    (?P<value>
        [+-]?\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?(?!\d)
        | [+-]?\d{1,15},\d{1,15}(?:[eE][+-]?\d{1,3})?(?![\d,.])
        | (?:\d{1,3}[ ]days?,[ ])?\d{1,3}:\d\d:\d\d(?:\.\d{1,9})?(?![\d:])
        | [+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?
        | [+-]?(?:nan|inf|infinity)(?![A-Za-z])
    )
    (?P<unit>%|[A-Za-zµ]{1,4}(?:/[A-Za-z]{1,6})?|[ ](?:ms|us|ns|sec|secs|s|min|mins|h|%)(?![\w/]))?
    (?!\w|\.\d|[-:]\d)
    (?:(?:\s?/\s{0,12}|\sof\s)(?P<total>\d{1,15})(?![\w.]))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SPLITS = TRAIN | HELD_OUT | TEST
_VERBS = {"validating": "val", "evaluating": "eval", "validate": "val", "evaluate": "eval", "crossval": "val"}
_OWNED = re.compile(r"\b(\w{1,60})'s (?=\w)")
_MEAN = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?\s?\(\s{0,8}([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s{0,8}\)")
_SHARED = ("step", "epoch", "tokens", "optimizer_seconds", "total_seconds", "timestamp", "learning_rate")
_LEVELS = frozenset(
    {"info", "debug", "warning", "warn", "error", "critical", "notice", "trace", "at", "and", "with", "is"}
)
_COPULAS = frozenset({"is", "was", "of", "at", "equals"})
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Pairs:
    """What a line says as names and numbers.

    Attributes:
        values: Numbers in text, by name, in the order of the line; the first of a name stays.
        share: Part of the line's characters that are names and numbers, from 0 to 1.
        start: Where the first name begins.
    """

    values: dict[str, str]
    share: float
    start: int


def values_of(line: str, split: str = "", *, averages: bool = False) -> Pairs:
    """Return the names and numbers of a line that has neither a date before it nor a progress bar.

    Names after a word such as ``val`` or ``[eval]`` get it in front, so that two losses of one line stay apart.

    Args:
        line: The line.
        split: The word to begin with, as if it stood before the line.
        averages: Whether of ``0.31 (0.29)`` the mean in brackets counts.
    """
    if "'s " in line:
        line = _OWNED.sub(r"\1/", line)
    if averages and "(" in line:
        line = _MEAN.sub(r"\1", line)
    shape = f"{split}\n{shape_of(line)}"
    plan = _plans.get(shape) or _plans.keep(shape, _plan(line, split))
    values = {name: line[a:b] + mark + line[c:d] for name, a, b, mark, c, d in plan.places}
    return Pairs(values, plan.share, plan.start)


@dataclass(frozen=True)
class _Plan:
    """Where lines of a shape hold names and numbers.

    Attributes:
        places: Names, the place of their numbers, and what to put before that of their units or totals, and that.
        share, start: See :class:`Pairs`.
    """

    places: tuple[tuple[str, int, int, str, int, int], ...]
    share: float
    start: int


_plans: ShapeCache[_Plan] = ShapeCache()


def _plan(line: str, split: str) -> _Plan:
    found: dict[str, tuple[int, int, str, int, int]] = {}
    whole: dict[str, str] = {}
    end, covered, start, last = 0, 0, len(line), ""
    for match in _PAIR.finditer(line):
        name, rest = _name(match["key"], not match["mark"].strip("\"' \t"))
        split = _split_in(line[end : match.start()] + " " + rest, split)
        end = match.end()
        if not name:
            continue
        if not found and not line[: match.start()].strip() and " " in name:
            split = _split_in(name.split(" ")[0], split)  # the whole line is about validation
        covered += match.end() - match.start() - len(rest)
        start = min(start, match.start() + len(rest))
        if split and needs_split(name):
            name = f"{split}/{name}"
        if name.lower() in _SPLITS and last in ("loss", "held_out_loss"):
            name = f"{name}/loss"  # "loss train: 3.1, val: 3.2"
        last = role_of(name).kind
        if name in found and rest:  # "D loss: 0.7, G loss: 1.2": neither is the loss alone
            if name in whole:
                found = {whole[name] if other == name else other: place for other, place in found.items()}
            name = match["key"]
        elif rest:
            whole[name] = match["key"]
        second = "total" if match["total"] else "unit"
        begin, close = match.span(second)
        begin += (match[second] or "").startswith(" ")
        found.setdefault(name, (*match.span("value"), "/" if match["total"] else "", begin, close))
    places = tuple((name, *place) for name, place in found.items())
    return _Plan(places, covered / max(1, len(line.strip())), start)


@lru_cache(maxsize=4096)
def _name(phrase: str, plain: bool) -> tuple[str, str]:
    """Pick the name out of the words before a number; returns it and the words left over.

    The longest ending that names a known quantity is the name, unless more than two words stand before it. Otherwise
    all words are, except where nothing but a blank stands before the number: there it is the last.
    """
    parts = phrase.split(" ")
    for position in range(len(parts)) if plain else range(min(len(parts), 3)):
        if role_of(" ".join(parts[position:])).kind:
            return " ".join(parts[position:]), " ".join(parts[:position])
    if plain:
        while len(parts) > 1 and parts[-1].lower() in _COPULAS:  # "the training loss is 3.1"
            parts = parts[:-1]
            if role_of(" ".join(parts[-2:])).kind or role_of(parts[-1]).kind:
                return _name(" ".join(parts), plain)
        return ("", phrase) if parts[-1].lower() in _LEVELS else (parts[-1], " ".join(parts[:-1]))
    while parts and parts[0].lower() in _LEVELS:
        parts = parts[1:]
    return " ".join(parts), ""


@lru_cache(maxsize=4096)
def needs_split(name: str) -> bool:
    """Say whether a name leaves open whether it was measured in training or in evaluation."""
    return role_of(name).kind not in _SHARED and not _SPLITS & set(words(name))


def _split_in(text: str, before: str) -> str:
    """Return the last word of a text that tells training from evaluation, else what was told before."""
    for word in reversed(_WORD.findall(text[-400:])):
        lower = word.lower()
        if lower in TRAIN:
            return ""
        if lower in _VERBS:
            return _VERBS[lower]
        if lower in _SPLITS and lower not in ("out", "held"):
            return lower
    return before
