"""The refreshes of a factor as ticks in a strip of their own, one a decomposition, coloured by its reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from foam_viz.analysis.checks import DECISION_ORDER, Checks
from foam_viz.analysis.downsample import PIXELS, bin_width, bins_of
from foam_viz.figures import encode, theme

_TICKS = PIXELS
"""Ticks of one reason at most; closer ones could not be told apart."""

_MOST_COUNTS = 16
"""With more intervals their counts would run into each other; hovering tells them."""


def refresh_ticks(rows: Checks) -> list[dict[str, Any]]:
    """One tick a decomposition in the strip between the two rows, coloured by its reason; a bar an interval."""
    drawn = _counts(rows)
    for code, reason in enumerate(DECISION_ORDER):
        at = rows.step[rows.decision == code]
        if reason == "reuse" or len(at) == 0:
            continue
        first, count = bins_of(at, _TICKS)
        several = count.max() > 1
        drawn.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": theme.DECISION_WORDS[reason],
                "meta": {"series": "refresh", "reason": reason},
                "x": encode.integers(at[first]),
                "y": encode.typed(np.zeros(len(first)), "u1"),
                "yaxis": "y3",
                "marker": {
                    "symbol": "x-thin" if reason == "failure" else "line-ns",
                    "size": 9,
                    "line": {"color": theme.DECISIONS[reason], "width": 1.6},
                },
                "customdata": encode.integers(count) if several else None,
                "hovertemplate": f"{'%{customdata} times ' if several else ''}decomposed, "
                f"{theme.DECISION_WORDS[reason]}<extra></extra>",
            }
        )
    return drawn


def _counts(rows: Checks) -> list[dict[str, Any]]:
    """Intervals with decompositions: a bar as wide as the steps they cover, and how many of the checks it were."""
    some = np.flatnonzero((rows.decision < 0) & (rows.decompositions > 0))
    if len(some) == 0:
        return []
    # Neighbours that could not be told apart are one interval with the sum of their counts: none is left out.
    begins = np.arange(0, len(some), bin_width(len(some), _TICKS))
    ends = np.append(begins[1:], len(some)) - 1
    done, checks = (np.add.reduceat(counts[some], begins) for counts in (rows.decompositions, rows.checks))
    first, last = rows.start[some][begins], rows.step[some][ends]
    half = (last - first) / 2
    few = len(begins) <= _MOST_COUNTS
    return [
        {
            "type": "scatter",
            "mode": "markers+text" if few else "markers",
            "name": "decompositions",
            "meta": {"series": "counts"},
            "x": encode.typed(last - half, "f8"),
            "y": encode.typed(np.full(len(begins), -0.6)),
            "yaxis": "y3",
            "text": [f"{count:,}" for count in done] if few else [],
            "textposition": "top center",
            "textfont": {"size": 10, "color": theme.LIGHT.ink},
            "customdata": encode.integers(np.stack([done, checks], axis=1)),
            "error_x": {"type": "data", "array": encode.typed(half), "color": theme.LIGHT.ink, "thickness": 1.6},
            "marker": {"symbol": "line-ns", "size": 5, "line": {"color": theme.LIGHT.ink, "width": 1.4}},
            "hovertemplate": "%{customdata[0]} decompositions in %{customdata[1]} checks<extra></extra>",
        }
    ]
