"""The comparison as an SVG: loss against decompositions and against kernel time, training above held-out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from foam_viz.figures.theme import DARK, FONT, LANES, LANES_DARK, LIGHT

if TYPE_CHECKING:
    from benchmarks.equal_budget import Comparison, Row

WIDTH, HEIGHT = 960, 720
PANEL_WIDTH, PANEL_HEIGHT = 380, 260
LEFTS, TOPS = (66, 548), (96, 400)
FIXED, REFERENCE = "fixed period", "AdamW"
_SIZE = 4.5


@dataclass(frozen=True)
class Axis:
    """Numbers to places: linear, or logarithmic for positive numbers.

    Attributes:
        low: Smallest number.
        high: Largest number.
        start: Place of the smallest.
        end: Place of the largest.
        logarithmic: Whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def place(self, value: float) -> float:
        scale: Callable[[float], float] = math.log if self.logarithmic else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers within the axis: the series 1, 2, 5 where logarithmic, else about five equal steps."""
        if self.logarithmic:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            series = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
            return [value for value in series if self.low <= value <= self.high]
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = min((digit * power for digit in (1, 2, 5, 10)), key=lambda size: abs(size - rough))
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def svg(comparison: Comparison) -> str:
    """The figure, for light and dark pages alike."""
    methods = list(dict.fromkeys(row.method for row in comparison.rows if row.method != REFERENCE))
    styles = {method: place for place, method in enumerate(methods)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<style>{_css()}</style>",
        f'<rect class="card" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        _text(LEFTS[0], 28, f"{comparison.problem.label}; learning rate {comparison.schedule}", "title"),
        *_legend(methods),
    ]
    for top, (quantity, name) in zip(TOPS, (("loss", "Training loss"), ("held_out", "Held-out loss")), strict=True):
        for left, along in zip(LEFTS, ("decompositions", "kernel ms"), strict=True):
            parts += _panel(comparison.rows, quantity, name, along, left, top, styles)
    return "\n".join([*parts, "</svg>\n"])


def _css() -> str:
    def colours(ink: str, soft: str, line: str, card: str, lanes: Sequence[str]) -> str:
        lane_rules = "".join(f".m{i}{{fill:{c};stroke:{c}}}.l{i}{{stroke:{c}}}" for i, c in enumerate(lanes))
        return (
            f"text{{fill:{soft}}}.title,.name{{fill:{ink}}}.card{{fill:{card}}}.grid{{stroke:{line}}}"
            f".reference{{stroke:{soft}}}{lane_rules}"
        )

    light = colours(LIGHT.ink, LIGHT.soft_ink, LIGHT.line, LIGHT.card, [lane.colour for lane in LANES])
    dark = colours(DARK.ink, DARK.soft_ink, DARK.line, DARK.card, LANES_DARK)
    fixed = (
        f"text{{font:12px {FONT.replace(chr(34), chr(39))}}}.title{{font-size:16px;font-weight:600}}"
        ".name{font-weight:600}"
        ".end{text-anchor:end}.middle{text-anchor:middle}.path,.bar,.reference{fill:none}.path{stroke-opacity:.45}"
        ".bar{stroke-opacity:.6}.reference{stroke-dasharray:5 4}"
    )
    return f"{fixed}{light}@media (prefers-color-scheme: dark){{{dark}}}"


def _legend(methods: Sequence[str]) -> list[str]:
    parts, x = [], LEFTS[0] + 5.0
    for place, method in enumerate(methods):
        parts += [_mark(x, 52, place), _text(x + 10, 56, method)]
        x += 34 + 6.6 * len(method)
    return [*parts, f'<path class="reference" d="M{x:.0f} 52h22"/>', _text(x + 28, 56, f"{REFERENCE} (no factors)")]


def _panel(
    rows: Sequence[Row], quantity: str, name: str, along: str, left: int, top: int, styles: dict[str, int]
) -> list[str]:
    shown = [row for row in rows if row.method in styles and math.isfinite(row.mean(quantity))]
    cost = {row.label: _along(row, along) for row in shown}
    values = [value for row in shown for value in row.values(quantity) if math.isfinite(value)]
    margin = 0.06 * (max(values) - min(values)) or 0.1
    x = Axis(0.85 * min(cost.values()), 1.15 * max(cost.values()), left, left + PANEL_WIDTH, True)
    y = Axis(min(values) - margin, max(values) + margin, top + PANEL_HEIGHT, top, False)
    parts = [_text(left, top - 8, f"{name} against {_axis_name(along)}", "name")]
    for tick in x.ticks():
        at = x.place(tick)
        parts.append(f'<path class="grid" d="M{at:.1f} {top}v{PANEL_HEIGHT}"/>')
        parts.append(_text(at, top + PANEL_HEIGHT + 16, f"{tick:g}", "middle"))
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(f'<path class="grid" d="M{left} {at:.1f}h{PANEL_WIDTH}"/>')
        parts.append(_text(left - 6, at + 4, f"{tick:.3g}", "end"))
    parts += _reference(rows, quantity, y, left, top)
    for method, place in styles.items():
        mine = sorted((row for row in shown if row.method == method), key=lambda row: cost[row.label])
        if method == FIXED:
            points = " ".join(f"{x.place(cost[row.label]):.1f},{y.place(row.mean(quantity)):.1f}" for row in mine)
            parts.append(f'<polyline class="path l{place}" points="{points}"/>')
        for row in mine:
            parts += _point(row, quantity, x.place(cost[row.label]), y, place, f"{cost[row.label]:.0f} {along}")
    return parts


def _point(row: Row, quantity: str, x: float, y: Axis, place: int, cost: str) -> list[str]:
    values = [value for value in row.values(quantity) if math.isfinite(value)]
    low, high, mean = y.place(min(values)), y.place(max(values)), y.place(row.mean(quantity))
    words = f"{row.label}: {row.mean(quantity):.3f} ({min(values):.3f} to {max(values):.3f}), {cost}"
    return [
        f'<path class="bar l{place}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>',
        f"<g><title>{escape(words)}</title>{_mark(x, mean, place)}</g>",
    ]


def _reference(rows: Sequence[Row], quantity: str, y: Axis, left: int, top: int) -> list[str]:
    """AdamW as a line across, or, where it lies outside, as words at the edge."""
    for row in rows:
        if row.method == REFERENCE:
            value = row.mean(quantity)
            inside = y.low <= value <= y.high
            at = y.place(value) if inside else top
            words = f"{REFERENCE} {value:.3f}" + ("" if inside else " is above" if value > y.high else " is below")
            line = [f'<path class="reference" d="M{left} {at:.1f}h{PANEL_WIDTH}"/>'] if inside else []
            title = f"<g><title>{escape(f'{row.label}: {value:.3f}')}</title>"
            label = _text(left + PANEL_WIDTH - 4, at + (-5 if inside else 14), words, "end")
            return [*line, f"{title}{label}</g>"]
    return []


def _along(row: Row, along: str) -> float:
    return row.mean("decompositions") if along == "decompositions" else 1e3 * row.mean_seconds


def _axis_name(along: str) -> str:
    return "decompositions" if along == "decompositions" else "kernel time, ms"


def _mark(x: float, y: float, place: int) -> str:
    """Circle, square, diamond, triangle, cross or star: as the lanes of the app, never by colour alone."""
    r, w = _SIZE, 1.3 * _SIZE
    shapes = (
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",
        f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.1f} {y - w:.1f}l{w:.2f} {w:.2f}l{-w:.2f} {w:.2f}l{-w:.2f} {-w:.2f}z",
        f"M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r:.2f} {2.1 * r:.2f}h{-2.4 * r:.2f}z",
        f"M{x - r:.1f} {y:.1f}h{2 * r}M{x:.1f} {y - r:.1f}v{2 * r}",
        f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}M{x:.1f} {y - r:.1f}v{2 * r}",
    )
    return f'<path class="m{place}" stroke-width="2" d="{shapes[place % len(shapes)]}"/>'


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'
