"""The rules of the comparison at equal decompositions, as pure functions: learning rates, periods, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean

START = 10
"""Step of the first decomposition of every factor, for every optimizer."""

CANDIDATE_MARGIN = 1.05
"""A rate is tried on the further tuning seeds where its loss on the first is within this factor of the best."""

EXTENSIONS = 6
"""Rates tried at most beyond the grid on either side, where the best lies at its edge."""

Losses = Mapping[float, Mapping[int, float]]
"""Loss by learning rate and tuning seed; infinity for a run that diverged."""


def neighbour(rate: float, direction: int) -> float:
    """The next rate up (1) or down (-1) in the series 1, 2, 5, 10, ..."""
    exponent = math.floor(math.log10(rate) + 1e-9)
    digit = round(rate / 10**exponent)
    place = (1, 2, 5).index(digit) + direction
    return float(f"{(1, 2, 5)[place % 3]}e{exponent + place // 3}")


def leader(losses: Losses) -> float:
    """The best rate so far: of those seen on most seeds, the one of least mean loss; the smaller of equals."""
    most = max(map(len, losses.values()))
    return min((mean(by_seed.values()), rate) for rate, by_seed in losses.items() if len(by_seed) == most)[1]


def next_trials(losses: Losses, grid: Sequence[float], seeds: Sequence[int]) -> list[tuple[float, int]]:
    """The (rate, seed) to train next before the rate can be chosen; empty once it can.

    Every rate of the grid is trained on the first seed, and those within 5 % of the best on the other seeds too, since
    a rate that is worse by more than seeds differ needs no second look. The best by mean must not be the smallest or
    largest rate tried: while it is, the next one of the series is tried.

    Args:
        losses: What has been trained.
        grid: The rates to begin with.
        seeds: The tuning seeds, none of which evaluates.
    """
    first, rest = seeds[0], seeds[1:]
    missing = [(rate, first) for rate in grid if first not in losses.get(rate, {})]
    if missing:
        return missing
    limit = CANDIDATE_MARGIN * min(by_seed[first] for by_seed in losses.values())
    second = [
        (rate, seed)
        for rate in sorted(losses)
        for seed in rest
        if losses[rate][first] <= limit and seed not in losses[rate]
    ]
    best = leader(losses) if not second else min(losses, key=lambda rate: losses[rate][first])
    for edge, direction in ((min(losses), -1), (max(losses), 1)):
        beyond = sum(rate < min(grid) for rate in losses) if direction < 0 else sum(r > max(grid) for r in losses)
        if best == edge and beyond < EXTENSIONS:
            return [(neighbour(edge, direction), first)]
    return second


def refreshes(period: int, steps: int, start: int = START) -> int:
    """Decompositions of one factor in a run with a fixed period: at ``start``, then at every multiple of it."""
    return int(steps >= start) + steps // period - min(start, steps) // period


def nearest_period(decompositions: float, factors: int, steps: int, start: int = START) -> int:
    """The fixed period whose count of decompositions is nearest.

    Many periods give the same count, up to how long the last basis is used: the middle one of them is taken.

    Args:
        decompositions: The count to come near to, of all factors together.
        factors: How many factors there are.
        steps: Length of the run.
        start: Step of the first decomposition.
    """
    distance = {f: abs(factors * refreshes(f, steps, start) - decompositions) for f in range(1, steps + 2)}
    least = min(distance.values())
    nearest = [f for f, away in distance.items() if away == least]
    few = min(refreshes(f, steps, start) for f in nearest)
    equal = [f for f in nearest if refreshes(f, steps, start) == few]
    return equal[len(equal) // 2]


def verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """``better`` or ``worse`` only where the difference has one sign over all seeds, paired by seed.

    Args:
        ours: Losses, a seed each.
        theirs: Losses of what is compared with, by the same seeds.
    """
    differences = [our - their for our, their in zip(ours, theirs, strict=True)]
    if all(difference < 0 for difference in differences):
        return "better"
    return "worse" if all(difference > 0 for difference in differences) else "no difference seen"


def kernel_seconds(counts: Mapping[str, int], unit_seconds: Mapping[str, float]) -> float:
    """Counts times unit costs, so that the noise of a machine in use does not enter.

    Raises:
        KeyError: A kernel was used whose cost was not measured.
    """
    return sum(count * unit_seconds[kernel] for kernel, count in counts.items())
