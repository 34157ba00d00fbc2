"""Where each factor of a lane stands on a map: layers across, left and right factors down."""

from __future__ import annotations

from dataclasses import dataclass

from foam_viz.figures import encode, theme
from foam_viz.figures.names import fitting
from foam_viz.figures.scene import Lane

_ROOMY = 8
"""Layers across whose cells hold a number of two digits on a small screen."""
_TIGHT = 14
"""Layers across whose cells hold a number of one digit."""
_MOST_ROWS = 22
"""Rows that are high enough for numbers."""
_MOST_CELLS = 1000
"""Factors that each have a cell of their own; with more, neighbouring layers share one."""
_LONGEST_NAME = 12
_NAMES_ACROSS = 40
"""Letters that fit under the map of a card on a small screen."""


@dataclass(frozen=True)
class Grid:
    """Where the cell of each factor is.

    Attributes:
        layers: Names of the layers, in order.
        columns: Layers across; more continue below.
        down: Names of the rows.
        cells: Row and column of each factor.
        shared: Whether factors of several layers share a cell.
    """

    layers: list[str]
    columns: int
    down: list[str]
    cells: list[tuple[int, int]]
    shared: bool = False

    @property
    def digits(self) -> int:
        """Digits of a number that fit into a cell."""
        if len(self.down) > _MOST_ROWS:
            return 0
        return 2 if self.columns <= _ROOMY else 1


def grid_of(lane: Lane) -> Grid:
    """Layers across and sides down; layers that do not fit beside each other continue in rows below."""
    names = lane.trace.manifest.factor_names
    layers = list(dict.fromkeys(name.layer for name in names))
    kinds = list(dict.fromkeys(name.row for name in names))
    kinds.sort(key=lambda row: row.partition(" ")[0] == "bias")
    grouped = _grouped(layers, len(kinds))
    shared = len(grouped) > 0 and len(set(grouped.values())) < len(layers)
    layers = list(dict.fromkeys(grouped.values()))
    columns = len(layers)
    for most in (_ROOMY, _TIGHT):
        bands = -(-len(layers) // most)
        columns = -(-len(layers) // bands)
        if bands * len(kinds) <= _MOST_ROWS:
            break
    cell_of = {layer: divmod(number, columns) for number, layer in enumerate(layers)}
    rows = sorted({(cell_of[grouped[name.layer]][0], kinds.index(name.row)) for name in names})
    number = {row: at for at, row in enumerate(rows)}
    several = len(layers) > columns
    down = []
    for band, kind in rows:
        first, last = band * columns + 1, min((band + 1) * columns, len(layers))
        down.append(f"{kinds[kind]} {first}–{last}".strip() if several else kinds[kind])
    bands_of = [cell_of[grouped[name.layer]] for name in names]
    cells = [(number[row, kinds.index(name.row)], column) for (row, column), name in zip(bands_of, names, strict=True)]
    return Grid(layers, columns, down, cells, shared)


def _grouped(layers: list[str], kinds: int) -> dict[str, str]:
    """The group of each layer: itself, or with more layers than the map has readable cells, it and its neighbours."""
    together = -(-len(layers) // (_TIGHT * max(_MOST_ROWS // max(kinds, 1), 1)))
    if len(layers) * kinds <= _MOST_CELLS:
        return {layer: layer for layer in layers}
    names = {}
    for position, layer in enumerate(layers):
        first = position // together * together
        last = min(first + together, len(layers)) - 1
        names[layer] = f"{layers[first]} to {layers[last]}" if last > first else layer
    return names


def layer_axis(grid: Grid) -> dict:
    """The axis of layers: by name where the names fit beside each other, else by number."""
    span = [-0.5, grid.columns - 0.5]
    if len(grid.layers) == grid.columns and sum(map(len, grid.layers)) + grid.columns <= _NAMES_ACROSS:
        return encode.axis("layer", **side(grid.layers), range=span)
    numbers = [str(number) for number in range(1, grid.columns + 1)]
    title = "layer, in order (names on hover)"
    if len(grid.layers) > grid.columns:
        title = "layer, counted along each row (names on hover)"
    return encode.axis(title, **side(numbers), range=span)


def side(names: list[str]) -> dict:
    """An axis with a name for each row or column; with many, for every second or third of them."""
    every = max(1, -(-len(names) // 24))
    shown = fitting(names, _LONGEST_NAME)
    return {
        "tickvals": list(range(0, len(names), every)),
        "ticktext": [encode.escape(name) for name in shown[::every]],
        "tickcolor": theme.alpha(theme.LIGHT.card, 0),
        "showgrid": False,
        "showline": False,
        "fixedrange": True,
    }
