"""What five seeds gave: the results behind lessons and paper figures, and the sentences that they support.

``python -m benchmarks lessons --write`` makes the file; the page reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

from foam_viz.figures.scene import Band
from foam_viz.lessons.lesson import MEASURES, Claim, Lesson, Measure, Place, Verdict
from foam_viz.trace.numbers import number, percent

FILE = Path(__file__).with_name("measured.json")
BANDS = Path(__file__).with_name("bands.json")
SEEDS = (30, 31, 32, 33, 34)
"""They chose nothing: no setting, learning rate or threshold was picked with them."""

Results = Mapping[Place, Sequence[Mapping[str, float | None]]]
"""A result a seed for each lane; a loss of None is one that diverged."""


@lru_cache(maxsize=1)
def _file() -> dict[str, dict[str, list[dict[str, float | None]]]]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def results(name: str) -> Results:
    """Return what was measured of a lesson or a paper's figure, by its id; empty where nothing was."""
    kept = _file().get(name, {})
    return {Place(*map(int, key.split("/"))): runs for key, runs in kept.items()}


def values(runs: Sequence[Mapping[str, float | None]], measure: Measure) -> list[float]:
    """Return one measure, a number a seed; a run that diverged has an infinite loss."""
    return [math.inf if value is None else float(value) for value in (run[measure] for run in runs)]


def verdict(left: Sequence[float], right: Sequence[float]) -> Verdict:
    """Compare seed by seed: ``more`` and ``less`` need one sign of the difference over all seeds."""
    signs = {(a > b) - (a < b) for a, b in zip(left, right, strict=True)}
    return "more" if signs == {1} else "less" if signs == {-1} else "no difference seen"


def decide(claim: Claim, found: Results) -> tuple[Verdict, float]:
    """Return what the measurement says of a claim, and the relative difference of the means; NaN for a diverged run."""
    left = values(found[claim.left], claim.measure)
    right = values(found[claim.right], claim.against or claim.measure)
    base = mean(right)
    change = (mean(left) - base) / base if math.isfinite(base) and base and math.isfinite(mean(left)) else math.nan
    return verdict(left, right), change


def sentence(lesson: Lesson, claim: Claim, found: Results) -> str:
    """Return the claim in words and numbers, as the measurement has it: true whatever the lesson says."""
    said, change = decide(claim, found)
    names = [_name(lesson, place) for place in (claim.left, claim.right)]
    against: Measure = claim.against or claim.measure
    told = [_mean(values(found[claim.left], claim.measure)), _mean(values(found[claim.right], against))]
    words, other = MEASURES[claim.measure], MEASURES[against]
    where = ""
    if len(lesson.stages) > 1 and claim.left.stage == claim.right.stage:
        where = f"{lesson.stages[claim.left.stage].title}: "
        names = [lesson.stages[place.stage].labels()[place.lane] for place in (claim.left, claim.right)]
    words = f"{where}{words}" if where else f"{words[0].upper()}{words[1:]}"
    whose = "" if other == MEASURES[claim.measure] else f" ({other})"
    pair = f"{words}: {told[0]} for {names[0]} against {told[1]}{whose} for {names[1]}."
    seeds = len(found[claim.left])
    if said == "no difference seen":
        return f"{pair} No difference seen: the {seeds} seeds disagree."
    size = f"{percent(abs(change))} {said} on average, and " if math.isfinite(change) else ""
    return f"{pair} That is {size}{said} on all {seeds} seeds."


def filled(lesson: Lesson, text: str) -> str:
    """Return a text of a lesson with its numbers as they were measured, in whole percent."""
    if "{" not in text:
        return text
    found = results(lesson.id)
    told = {}
    for name, number_of in lesson.numbers.items():
        left, right = (mean(values(found[place], number_of.measure)) for place in (number_of.left, number_of.right))
        told[name] = f"{left / right if number_of.kind == 'share' else abs(left / right - 1):.0%}".replace("%", " %")
    return text.format_map(told)


def _name(lesson: Lesson, place: Place) -> str:
    stage = lesson.stages[place.stage]
    name = stage.labels()[place.lane]
    return f"{name} ({stage.title})" if len(lesson.stages) > 1 else name


def _mean(numbers: Sequence[float]) -> str:
    lost = sum(not math.isfinite(value) for value in numbers)
    if not lost:
        return number(mean(numbers))
    return "diverged" if lost == len(numbers) else f"diverged in {lost} of {len(numbers)} runs"


@lru_cache(maxsize=1)
def _bands() -> dict[str, dict[str, dict[str, list[Any]]]]:
    return json.loads(BANDS.read_text()) if BANDS.exists() else {}


def bands(lesson: Lesson, stage: int) -> tuple[Band, ...]:
    """Return the bands of a stage; a lane in which a seed diverged has none."""
    kept = _bands().get(lesson.id, {})
    lanes = range(len(lesson.stages[stage].labels()))
    return tuple(
        Band(lane, found["step"], found["low"], found["high"])
        for lane in lanes
        if (found := kept.get(f"{stage}/{lane}"))
    )
