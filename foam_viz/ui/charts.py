"""What the small charts beside the board share: ink that is read from the back of a room, in both themes."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.figures.theme import DARK, LIGHT, Palette


def config(size: int = 12) -> dict[str, Any]:
    """Return the configuration of a Vega-Lite chart.

    Args:
        size: Of the letters, pixels.
    """
    palette = _palette()
    axis = {"labelColor": palette.soft_ink, "titleColor": palette.ink, "labelFontSize": size, "titleFontSize": size + 1}
    return {
        "axis": {**axis, "gridOpacity": 0.3},
        "legend": {"labelColor": palette.ink, "labelFontSize": size, "symbolSize": 10 * size},
    }


def ink() -> str:
    """Return the colour of words."""
    return _palette().ink


def _palette() -> Palette:
    return DARK if st.context.theme.type == "dark" else LIGHT
