"""What the small charts beside the board share: sizes that are read from the back of a room.

Their colours of words are rules of the page's style: a chart that is drawn follows a switch of the theme at once.
"""

from __future__ import annotations

from typing import Any


def config(size: int = 12) -> dict[str, Any]:
    """Return the configuration of a Vega-Lite chart.

    Args:
        size: Of the letters, pixels.
    """
    return {
        "axis": {"labelFontSize": size, "titleFontSize": size + 1, "gridOpacity": 0.3},
        "legend": {"labelFontSize": size, "symbolSize": 10 * size},
    }
