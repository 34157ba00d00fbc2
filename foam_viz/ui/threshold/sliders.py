"""The sliders of the threshold lab: which values they offer, and where the spectrum lies on them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from foam_viz.analysis.replay import Grid
from foam_viz.analysis.replay_setting import REPLAYABLE, Setting
from foam_viz.optim.fields import Field
from foam_viz.trace.numbers import number, setting
from foam_viz.ui.text import plain

_MANTISSAS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.3, 8.0)
_QUANTILES = ((0.05, "5 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (0.95, "95 %"))
_MOST_PERIODS = 200
_NEAR = 0.13
"""Labels closer than this share of the slider would run into each other: the later one goes."""


def damping_values(own: Setting, quantiles: Sequence[float], chosen: float) -> list[float]:
    """The values that a slider of eps0 or eps_max offers, rising: ten a decade over the spectrum and the settings."""
    known = [own.values[name] for name in ("epsilon", "epsilon_max") if name in own.values]
    spectrum = [value for share, value in zip(np.linspace(0, 1, len(quantiles)), quantiles, strict=True)
                if 0.04 < share < 0.97 and value > 0]  # fmt: skip
    low = math.floor(math.log10(min([*known, *spectrum[:1]])) - 1)
    high = math.ceil(math.log10(max([*known, *spectrum[-1:]])))
    low = max(low, high - 12)
    steps = [float(f"{m}e{e}") for e in range(low, high) for m in _MANTISSAS]
    return sorted({*steps, *known, chosen, float(f"1e{high}")})


def period_values(grid: Grid, chosen: int) -> list[int]:
    """The periods that a slider offers: all multiples of the recorded one, or some that grow where there are many."""
    periods = list(grid.periods)
    if len(periods) > _MOST_PERIODS:
        places = np.unique(np.geomspace(1, len(periods), _MOST_PERIODS).round().astype(int)) - 1
        periods = [periods[place] for place in places]
    return sorted({*periods, chosen})


def place_of(value: float, values: Sequence[float]) -> float:
    """Where a value lies on a slider that spaces rising values evenly, 0 to 1; between two of them by logarithm."""
    if value <= values[0]:
        return 0.0
    if value >= values[-1]:
        return 1.0
    after = bisect.bisect_right(values, value)
    low, high = math.log(values[after - 1]), math.log(values[after])
    return (after - 1 + (math.log(value) - low) / (high - low)) / (len(values) - 1)


def marks(values: Sequence[float], quantiles: Sequence[float], smallest: float) -> list[tuple[float, str, str]]:
    """Marks under a slider of damping: place from 0 to 1, label and explanation; of labels too close one is empty."""
    known = [(smallest, "λₘᵢₙ", "the smallest eigenvalue above 0 of all factors and checks")]
    shares = np.linspace(0, 1, len(quantiles))
    for share, label in _QUANTILES:
        known.append((float(np.interp(share, shares, quantiles)), label,
                      f"{label} of all eigenvalues, of all factors and checks, lie under it"))  # fmt: skip
    found, last = [], -1.0
    for value, label, words in known:
        if value <= 0:
            continue
        place = place_of(value, values)
        side = "left" if value < values[0] else "right" if value > values[-1] else ""
        beyond = f" ({side} of the slider)" if side else ""
        shown = label if place - last >= _NEAR else ""
        found.append((place, shown, f"{number(value)}: {words}{beyond}"))
        last = place if shown else last
    return found


def draw_marks(found: Sequence[tuple[float, str, str]]) -> None:
    """Draw marks under the slider above."""
    parts = []
    for place, label, words in found:
        style, title = f"left:{100 * place:.2f}%", escape(words, quote=True)
        shift = "transform:none" if place < 0.02 else "transform:translateX(-100%)" if place > 0.98 else ""
        parts.append(f'<i style="{style}" title="{title}"></i>')
        if label:
            parts.append(f'<span style="{style};{shift}" title="{title}">{escape(label)}</span>')
    st.html(f'<div class="foam-marks" role="note" aria-label="Quantiles of the spectrum">{"".join(parts)}</div>')


def offer(field: Field, values: Sequence[Any], chosen: Any, key: str, *, disabled: bool = False) -> Any:
    """Draw a slider over given values and return the one chosen."""
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen
    return st.select_slider(
        f"{field.label} {field.symbol}",
        options=values,
        key=key,
        format_func=lambda value: number(value) if isinstance(value, float) and value < 1e-3 else setting(value),
        help=f"{plain(field.help)}{' In ' + field.unit + '.' if field.unit else ''}",
        disabled=disabled,
    )


def policies() -> Mapping[str, str]:
    """The policies that can be tried, in words."""
    return {name: spec.label for name, spec in REPLAYABLE.items()}
