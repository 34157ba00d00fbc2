"""The tables of the comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.budget_kernels import STACKS
from benchmarks.document import table
from foam_viz.figures.theme import setting

if TYPE_CHECKING:
    from benchmarks.equal_budget import Comparison, Pair, Row

KERNELS = {
    "eigh": "decomposition", "proxy": "proxy h", "residual": "residual r", "rebuild": "rebuild", "qr": "QR step"
}  # fmt: skip


_LOSSES = {"loss": "training loss", "held_out": "held-out loss", "after": "training loss after the burst"}


def text(comparison: Comparison) -> str:
    """All tables of a comparison under one heading, in Markdown."""
    title = f"### {comparison.problem.label}; learning rate {comparison.schedule}"
    parts = [title, _rates(comparison), _results(comparison)]
    parts += [
        "Against the fixed period nearest in decompositions:",
        _pairs(comparison.by_count),
        "Against the fixed period nearest in kernel time:",
        _pairs(comparison.by_time),
    ]
    return "\n\n".join(parts) + "\n"


def costs(alone: Mapping[str, float], stacked: Mapping[str, float]) -> str:
    """Milliseconds of each kernel for one matrix by size, alone and in a stack."""
    sizes = sorted({int(kernel.partition("/")[2]) for kernel in alone})
    rows = []
    for size in sizes:
        for label, seconds in ((f"{size}, alone", alone), (f"{size}, {STACKS.get(size, 1)} together", stacked)):
            one = {kernel: seconds.get(f"{kernel}/{size}", math.nan) for kernel in KERNELS}
            share = (one["proxy"] + one["rebuild"]) / one["eigh"]
            shown = "" if math.isnan(share) else f"{share:.2f}"
            rows.append([label, *map(_milliseconds, one.values()), shown])
    heads = ["n", *(f"{name}, ms" for name in KERNELS.values()), "(proxy + rebuild) / decomposition"]
    return table(heads, rows) + "\n"


def parts(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """The tables by the name of their place, ``tables PROBLEM SCHEDULE``."""
    return {f"tables {one.problem.name} {one.schedule}": text(one) for one in comparisons}


def plain(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "problem": comparison.problem.name,
        "schedule": comparison.schedule,
        "tuning": comparison.tuning,
        "rates": comparison.rates,
        "rows": [
            {"label": row.label, "rate": row.rate, "results": row.results, "kernel_seconds": row.seconds}
            for row in comparison.rows
        ],
        "by_count": [_plain_pair(pair) for pair in comparison.by_count],
        "by_time": [_plain_pair(pair) for pair in comparison.by_time],
    }


def _plain_pair(pair: Pair) -> dict[str, str]:
    return {"method": pair.row.label, "fixed": pair.fixed.label, **pair.verdicts}


def _rates(comparison: Comparison) -> str:
    """Tuning losses: the mean over the seeds tried, the chosen rate in bold."""
    tried = sorted({rate for losses in comparison.tuning.values() for rate in losses})
    rows = []
    for method, losses in comparison.tuning.items():
        cells = [method]
        for rate in tried:
            by_seed = losses.get(rate)
            shown = "" if by_seed is None else _loss(sum(by_seed.values()) / len(by_seed)) + "*" * (len(by_seed) == 1)
            cells.append(f"**{shown}**" if rate == comparison.rates[method] else shown)
        rows.append(cells)
    return table(["training loss on tuning seeds at lr", *(setting(rate) for rate in tried)], rows)


def _results(comparison: Comparison) -> str:
    after = comparison.problem.after
    heads = ["method", "lr", "training loss", "held-out loss", "decompositions", "kernel ms"]
    if after:
        heads.insert(4, f"training loss, steps {after - 19}-{after}")
    rows = []
    for row in comparison.rows:
        cells = [row.label, setting(row.rate), _spread(row, "loss"), _spread(row, "held_out")]
        cells += [_spread(row, "after")] if after else []
        cells += [_count(row.mean("decompositions")), f"{1e3 * row.mean_seconds:.0f}"]
        rows.append(cells)
    return table(heads, rows)


def _pairs(pairs: Sequence[Pair]) -> str:
    rows = []
    for pair in pairs:
        row, fixed = pair.row, pair.fixed
        rows.append(
            [
                row.label, fixed.label.removeprefix("fixed period, "),
                f"{_count(row.mean('decompositions'))} / {_count(fixed.mean('decompositions'))}",
                f"{1e3 * row.mean_seconds:.0f} / {1e3 * fixed.mean_seconds:.0f}",
                *(f"{_percent(row, fixed, name)} {verdict}" for name, verdict in pair.verdicts.items()),
            ]
        )  # fmt: skip
    heads = ["method", "against", "decompositions", "kernel ms", *(_LOSSES[name] for name in pairs[0].verdicts)]
    return table(heads, rows)


def _percent(row: Row, near: Row, name: str) -> str:
    share = row.mean(name) / near.mean(name) - 1
    return "" if not math.isfinite(share) else f"{100 * share:+.1f} %"


def _spread(row: Row, name: str) -> str:
    values = row.values(name)
    if not all(map(math.isfinite, values)):
        return f"diverged on {sum(not math.isfinite(value) for value in values)} of {len(values)}"
    return f"{_loss(row.mean(name))} ({_loss(min(values))} to {_loss(max(values))})"


def _loss(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "diverged"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _milliseconds(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{1e3 * seconds:.2f}" if seconds >= 1e-4 else f"{1e3 * seconds:.3f}"
