"""The one readable name of each factor of a run: "layer 1 left" for the left factor of `0.weight`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foam_viz.trace.manifest import FactorInfo

_SIDES = ("left", "right")


@dataclass(frozen=True)
class FactorName:
    """A factor's name in its parts.

    Attributes:
        layer: The module it belongs to, with the block of its parameter where that has several.
        row: What it is within the layer: its side, and the parameter's own name unless that is `weight`.
        text: Both as one name, unique in the run.
        size: Rows, and columns, of the factor.
    """

    layer: str
    row: str
    text: str
    size: int

    @property
    def with_shape(self) -> str:
        """The name with the shape: "layer 1 left, 128×128"."""
        return f"{self.text}, {self.size}×{self.size}"


def factor_names(infos: Sequence[FactorInfo]) -> tuple[FactorName, ...]:
    """Name every factor of a run.

    A module whose whole name is a number, as in `torch.nn.Sequential`, is called a layer and counted from one. Every
    other module keeps the name that its model or its log gives it.

    Args:
        infos: The factors of the run, in order.
    """
    modules = {info.parameter.rpartition(".")[0] for info in infos}
    numbered = sorted((module for module in modules if module.isdecimal()), key=lambda name: (len(name), name))
    numbers = {module: position for position, module in enumerate(numbered, 1)}
    blocks = Counter(parameter for parameter, _ in {(info.parameter, info.block) for info in infos})
    parts = [_parts(info, numbers, blocks[info.parameter] > 1) for info in infos]
    times = Counter(parts)
    parts = [
        (f"{layer} ({info.id.rpartition('.')[0] or info.id})" if times[layer, row] > 1 else layer, row)
        for info, (layer, row) in zip(infos, parts, strict=True)
    ]
    times = Counter(parts)
    texts = [
        " ".join(filter(None, [*part, f"({info.id})" if times[part] > 1 else ""]))
        for info, part in zip(infos, parts, strict=True)
    ]
    return tuple(
        FactorName(layer, row, text, info.size) for info, (layer, row), text in zip(infos, parts, texts, strict=True)
    )


def _parts(info: FactorInfo, numbers: Mapping[str, int], several_blocks: bool) -> tuple[str, str]:
    module, _, leaf = info.parameter.rpartition(".")
    layer = f"layer {numbers[module]}" if module in numbers else module
    side = {1: "", 2: _SIDES[info.dim] if info.dim in (0, 1) else ""}.get(info.order, f"dimension {info.dim}")
    if leaf in _SIDES:
        leaf = f"{leaf} matrix,"  # a parameter called "left" has a left and a right side too
    if not layer:
        layer, leaf = leaf, ""
    elif leaf == "weight" and side:
        leaf = ""
    block = f"block {info.block}" if several_blocks or info.block else ""
    return " ".join(filter(None, [layer, block])), " ".join(filter(None, [leaf, side]))
