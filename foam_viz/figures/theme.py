"""Colours, dashes and numbers: the one place from which every figure takes them.

Figures are drawn in the colours of the light palette. `DARK_OF` maps each of them to its partner on dark
paper; the browser applies the map when the page is dark, so switching the theme asks nothing of the server.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from foam_viz.trace.numbers import THIN, number, percent, setting

__all__ = ["THIN", "number", "percent", "setting"]  # beside what is defined here


@dataclass(frozen=True)
class Palette:
    """The neutral colours of one theme."""

    paper: str
    card: str
    line: str
    ink: str
    soft_ink: str
    accent: str
    faint: str
    """Ticks and marks that must be there without being read, such as a reused basis in the raster."""


LIGHT = Palette("#FBFAF7", "#FFFFFF", "#E4E1DA", "#1B1F24", "#5B6470", "#0B7A75", "#E9E6DF")
DARK = Palette("#0F1418", "#161D23", "#26313A", "#E6EBEF", "#9AA7B2", "#3CCFC4", "#27323A")


@dataclass(frozen=True)
class LaneStyle:
    """How one lane looks on every panel: never by colour alone."""

    colour: str
    dash: str
    symbol: str


LANES: tuple[LaneStyle, ...] = (
    LaneStyle("#0072B2", "solid", "circle"),
    LaneStyle("#009E73", "dash", "square"),
    LaneStyle("#CC79A7", "dot", "diamond"),
    LaneStyle("#E69F00", "dashdot", "triangle-up"),
    LaneStyle("#56B4E9", "longdash", "cross"),
    LaneStyle("#7A5230", "longdashdot", "star"),
)
LANES_DARK: tuple[str, ...] = ("#459AE0", "#58C96B", "#F29CBB", "#F5BF4F", "#9AD8FF", "#B58A63")


DISTINCT_LANES = len(LANES) ** 2
"""So many positions look different from each other."""


def lane(position: int) -> LaneStyle:
    """Style of a lane: after six the colours come again, with the dash and the symbol of another.

    Args:
        position: 0 or more; the first `DISTINCT_LANES` differ from each other.
    """
    turned = LANES[(position + position // len(LANES)) % len(LANES)]
    return LaneStyle(LANES[position % len(LANES)].colour, turned.dash, turned.symbol)


VERMILION, PURPLE, RED = "#D55E00", "#8A3FA0", "#C2160A"
"""Colours of meaning: no lane has one of them."""

DECISIONS: dict[str, str] = {
    "reuse": LIGHT.faint,
    "first": LIGHT.soft_ink,
    "cadence": LIGHT.ink,
    "cap": VERMILION,
    "threshold": PURPLE,
    "failure": RED,
}
"""Colour of each decision at a check; the keys are those of the column `decision` of the table of checks."""

DECISION_WORDS: dict[str, str] = {
    "reuse": "reuse",
    "first": "first",
    "cadence": "by cadence",
    "cap": "by cap",
    "threshold": "by threshold",
    "failure": "by failure",
}

_CIVIDIS = [
    "#00224E",
    "#123570",
    "#3B496C",
    "#575D6D",
    "#707173",
    "#8A8678",
    "#A59C74",
    "#C3B369",
    "#E1CC55",
    "#FEE838",
]

SEQUENTIAL: list[list] = [[i / (len(_CIVIDIS) - 1), colour] for i, colour in enumerate(_CIVIDIS)]
"""Cividis, the same on either paper: for magnitudes."""

DIVERGING: list[list] = [[0.0, "#5B9FCC"], [0.25, "#AFCFE4"], [0.5, "#F4F1EA"], [0.75, "#F3C4A5"], [1.0, "#E58A52"]]
"""Blue, paper, vermilion, for a quantity whose middle means "just at the threshold"."""

SINGLE_HUE: list[list] = [[0.0, "#F7F6F2"], [0.1, "#DCEBE8"], [0.3, "#9ECFC9"], [0.6, "#3C9C95"], [1.0, "#06403D"]]
"""Paper to the accent's own dark, for the overlap matrix."""

MAGNITUDE: list[list] = [[0.0, "#F4F1EA"], [0.5, "#A9D3CC"], [1.0, "#5FB3A6"]]
"""Paper to teal, for magnitudes with numbers on them: the ink is readable on every shade, unlike on cividis."""

DARK_OF: dict[str, str] = (
    {getattr(LIGHT, f.name): getattr(DARK, f.name) for f in fields(Palette)}
    | {lane.colour: dark for lane, dark in zip(LANES, LANES_DARK, strict=True)}
    | {VERMILION: "#FF8F4D", PURPLE: "#B584F0", RED: "#FF291A"}
    | dict(zip([c for _, c in DIVERGING], ["#28689E", "#264E6B", "#26313A", "#6B4431", "#A84C1B"], strict=True))
    | {"#A9D3CC": "#1F4F4D", "#5FB3A6": "#1D6F66"}
    | dict(zip([c for _, c in SINGLE_HUE], ["#182128", "#1B3136", "#1F5456", "#2C9790", "#B5FFF6"], strict=True))
)
"""Light colour to dark colour, both as upper-case #RRGGBB."""

FONT = '"Source Sans", "Source Sans 3", "Source Sans Pro", system-ui, sans-serif'

SYMBOLS = {"tau": "τ", "epsilon": "ε<sub>0</sub>", "epsilon_t": "ε<sub>t</sub>", "epsilon_max": "ε<sub>max</sub>"}
"""Symbols as figures label them (Plotly's markup)."""


@lru_cache(maxsize=1024)
def alpha(colour: str, opacity: float) -> str:
    """`colour` (#RRGGBB) with an opacity, in the one spelling that the browser recognises."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
