"""What a step costs beside its floor: symmetric products as torch has them, and the least passes over memory.

torch has no symmetric product, so the half that ``floor`` charges is not to be had: the quicker of a full product and
of block triangles is charged, and for statistics L is read as well as written. Elementwise work is charged by the
fewest bytes that the rule reads and writes, over the bandwidth of a pass measured in the same run:

* a step, per entry of the parameters, 9 passes: gradient, m and v read, m and v written, the direction read for its
  length, then direction and parameter read and the parameter written. (SOAP writes the step before it is rotated back
  and needs no length: 9 too.)
* a check, per entry of the factors. A fixed period 5: L read and A written, Q read and Q s written, X mirrored (half
  read, half written). FOAM 5: B divided by its correction (read and written), read once for h, Q and Q s as before;
  and the 5 of a fixed period where it decomposes. SOAP 4: L Q scaled and sorted, each read and written; and v sorted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.floor import Shape, milliseconds, products
from benchmarks.peers import PATTERN, PERIOD, Family
from foam_viz.optim.gram import TRIANGLE_WIDTH

STEP_PASSES = 9
CHECK_PASSES: dict[Family, int] = {"shampoo": 5, "foam": 5, "soap": 4}
_POOL = 2**23  # entries of each operand of the measured pass: more than the caches hold
Product = tuple[Tensor, Tensor, Tensor]


def milliseconds_per_entry() -> float:
    """Of reading or writing an entry of float32, by a pass that reads two operands from memory and writes one."""
    left, right = torch.zeros(_POOL), torch.ones(_POOL)
    return milliseconds(lambda: left.lerp_(right, 0.5)) / (3 * _POOL)


def _add(left: Tensor, right: Tensor, out: Tensor, beta: float) -> None:
    if left.shape[1] == 1:
        out.addr_(left[:, 0], right[0], beta=beta)
    else:
        out.addmm_(left, right, beta=beta)


def _whole(wanted: Sequence[Product], beta: float) -> None:
    for left, right, out in wanted:
        _add(left, right, out, beta)


def _triangles(wanted: Sequence[Product], beta: float) -> None:
    for left, right, out in wanted:
        for i in range(0, len(out), TRIANGLE_WIDTH):
            rows = slice(i, i + TRIANGLE_WIDTH)
            _add(left[rows], right[:, i:], out[rows, i:], beta)


def symmetric(wanted: Sequence[Product], beta: float) -> float:
    """One pass over ``out <- beta out + left @ right``, symmetric, each shape in its quicker way; milliseconds."""
    by_shape: dict[tuple[int, ...], list[Product]] = defaultdict(list)
    for product in wanted:
        by_shape[tuple(product[0].shape)].append(product)
    ways = (_whole, _triangles)
    return sum(min(milliseconds(partial(way, some, beta)) for way in ways) for some in by_shape.values())


def passes(shapes: list[Shape], family: Family, workload: str) -> dict[str, float]:
    """What comes on top of ``floor``, milliseconds a step, amortized over a cycle, by part.

    Args:
        shapes: Shapes of the parameters that have factors.
        family: ``shampoo``, ``foam`` at the rate of the benchmark's pattern, or ``soap``.
        workload: A or B, for that rate.
    """
    gradients = [torch.randn(shape if len(shape) == 2 else (1, shape[0])) for shape in shapes]
    unfolded = [g.T for g in gradients] + [g for g in gradients if len(g) > 1]
    statistics = [(u, u.T, torch.randn(len(u), len(u))) for u in unfolded]
    beyond_half = symmetric(statistics, 0.99) - products([(u, u.T) for u in unfolded]) / 2
    sizes = [size for shape in shapes for size in shape]
    count = {"shampoo": 1, "foam": 2, "soap": 0}[family]  # symmetric products of a check: X; B and X; none
    check = 0.0
    if count:
        squares = [(torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)) for n in sizes]
        check = count * (symmetric(squares, 0.0) - products([pair[:2] for pair in squares]) / 2)
    parameters, factors = sum(g.numel() for g in gradients), sum(n * n for n in sizes)
    decompositions, checks = PATTERN[workload]
    moved = CHECK_PASSES[family] * factors
    if family == "foam":
        moved += CHECK_PASSES["shampoo"] * factors * decompositions / checks
    elif family == "soap":
        moved += 2 * parameters
    entry = milliseconds_per_entry()
    return {
        "statistics beyond half a product": beyond_half,
        "step: elementwise passes": STEP_PASSES * parameters * entry,
        "check: products beyond half": check / PERIOD,
        "check: elementwise passes": moved * entry / PERIOD,
    }
