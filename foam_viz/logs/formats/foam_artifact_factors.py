"""The factors of a FOAM artifact run, numbered as they appear in its files."""

from __future__ import annotations

import re
from collections import Counter

from foam_viz.trace import FactorInfo

_ID = re.compile(r"(\d{1,9})\.block_(\d{1,9})\.(\d{1,3})")


class Factors:
    """Gives each factor a number, by its parameter group and its id."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._described: list[tuple[int | None, int | None, int]] = []

    def number(self, factor_id: str, group: int, size: int, axis: int | None = None, order: int | None = None) -> int:
        """Return the number of a factor, a new one for a new factor.

        Args:
            factor_id: Id in the files, ``"1.block_0.0"``.
            group: Parameter group.
            size: Rows of the factor.
            axis: Dimension of the block it belongs to; None where the file does not say.
            order: Dimensions of the block; None where the file does not say.
        """
        key = (group, factor_id[:200])
        if key not in self._numbers:
            self._numbers[key] = len(self._described)
            self._described.append((axis, order, size))
        return self._numbers[key]

    def infos(self) -> tuple[FactorInfo, ...]:
        """Return what is known of each; ids carry their group where one id stands in several."""
        ids = Counter(factor_id for _, factor_id in self._numbers)
        found = []
        for (group, factor_id), (axis, order, size) in zip(self._numbers, self._described, strict=True):
            match = _ID.fullmatch(factor_id)
            parameter, block, dim = (int(part) for part in match.groups()) if match else (None, 0, 0)
            found.append(
                FactorInfo(
                    id=factor_id if ids[factor_id] == 1 else f"group {group}, {factor_id}",
                    parameter=f"parameter {parameter}" if parameter is not None else factor_id,
                    block=block,
                    dim=axis if axis is not None else dim,
                    order=order if order is not None else self._order(group, parameter, block, dim),
                    size=size,
                )
            )
        return tuple(found)

    def _order(self, group: int, parameter: int | None, block: int, dim: int) -> int:
        """Dimensions of a block by the factors it has."""
        dims = [dim]
        for other_group, other in self._numbers:
            match = _ID.fullmatch(other)
            if match and (other_group, int(match[1]), int(match[2])) == (group, parameter, block):
                dims.append(int(match[3]))
        return max(dims) + 1
