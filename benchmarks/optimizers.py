"""Milliseconds and state of an optimizer step, ours beside peers from PyPI: one thread, interleaved, same gradients.

``python -m benchmarks optimizers [--workload=A|B] [--ours] [--json]``, after ``pip install -r
requirements-benchmarks.txt``; ``--ours`` leaves the peers out, and what is compared with them.

A cycle is ten steps, one check among them; what is printed is the sum of a cycle over ten, so that decompositions are
charged where they belong. Every optimizer gets the same recorded gradients, which change from step to step. Only its
``step`` is timed, in CPU seconds of the process, so that what else runs on the machine is not charged. A few instances
of each take turns, cycle by cycle: the median over instances, then the mean over cycles.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.floor import floor
from benchmarks.floor_passes import passes
from benchmarks.peers import PATTERN, PERIOD, Contender, Family, contenders
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Workload

INSTANCES = {"A": 3, "B": 2}
# Over the floor: what the products and decompositions alone take, timed in the same run.
LIMITS: dict[str, dict[Family, float]] = {
    "A": {"shampoo": 1.10, "foam": 1.12, "soap": 1.08},
    "B": {"shampoo": 1.15, "foam": 1.15, "soap": 1.15},
}
# With the same factors, grafting and moments on both sides.
ALIKE = (
    ("Shampoo f = 10, no grafting", "pytorch-optimizer Shampoo"),
    ("Shampoo f = 10, matrices", "pytorch-optimizer ScalableShampoo"),
    ("SOAP f = 10", "pytorch-optimizer SOAP"),
    ("SOAP f = 10", "heavyball SOAP, not compiled"),
)
FAMILIES: dict[Family, str] = {"shampoo": "Shampoo f = 10", "foam": "FOAM f = 10", "soap": "SOAP f = 10"}


@dataclass
class Lane:
    """One instance of a contender with parameters of its own.

    Attributes:
        cycles: Of each timed cycle, milliseconds a step: over the cycle, and between checks.
    """

    parameters: list[Tensor]
    optimizer: torch.optim.Optimizer
    cycles: list[tuple[float, float]] = field(default_factory=list)

    def run(self, gradients: list[list[Tensor]]) -> tuple[float, float]:
        """Takes a step for each of the gradients, one of which checks; the optimizer's time alone, as in ``cycles``."""
        milliseconds = []
        for step in gradients:
            for parameter, gradient in zip(self.parameters, step, strict=True):
                parameter.grad = gradient.clone()  # some optimizers write into what they are given
            began = time.process_time()
            self.optimizer.step()
            milliseconds.append((time.process_time() - began) * 1e3)
        return statistics.mean(milliseconds), statistics.median(milliseconds)


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of all tensors that an optimizer holds besides parameters and gradients, wherever it keeps them."""
    excluded = {id(p) for group in optimizer.param_groups for p in group["params"]}
    storages: dict[int, int] = {}
    seen: set[int] = set()
    left: list[Any] = [optimizer]
    while left:
        value = left.pop()
        if id(value) in seen or id(value) in excluded:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            storages[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        elif isinstance(value, dict):
            left += [key for key in value if isinstance(key, tuple)] + list(value.values())
        elif isinstance(value, list | tuple | set):
            left += value
        elif type(value).__module__.split(".")[0] in ("foam_viz", "pytorch_optimizer", "heavyball", "torch"):
            left += list(getattr(value, "__dict__", {}).values())
            left += [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
    excluded_storages = {p.untyped_storage().data_ptr() for group in optimizer.param_groups for p in group["params"]}
    return sum(size for pointer, size in storages.items() if pointer not in excluded_storages)


class Measured(NamedTuple):
    """A contender with its milliseconds a step over cycles and between checks, and the bytes of its state."""

    contender: Contender
    step: float
    between: float
    state: int


def measure(workload: Workload) -> dict[str, Measured]:
    """What each contender took."""
    _, cycles = PATTERN[workload.name]
    initial, gradients = workload.record(PERIOD * (cycles + 1) + 1)
    lanes: dict[str, list[Lane]] = {}
    field_of = {one.name: one for one in contenders(workload.name, peers="--ours" not in sys.argv)}
    for name, one in field_of.items():
        lanes[name] = []
        for _ in range(INSTANCES[workload.name]):
            parameters = [parameter.clone().requires_grad_() for parameter in initial]
            lanes[name].append(Lane(parameters, one.build(parameters)))
            # The first decomposition, and SOAP's first gradient, which moves nothing: then all checks fall alike.
            lanes[name][-1].run(gradients[: PERIOD + 1])
    for cycle in range(cycles):
        first = PERIOD * (cycle + 1) + 1
        for i in range(INSTANCES[workload.name]):
            for name in lanes:
                lanes[name][i].cycles.append(lanes[name][i].run(gradients[first : first + PERIOD]))
    return {
        name: Measured(field_of[name], _typical(some, 0), _typical(some, 1), state_bytes(some[0].optimizer))
        for name, some in lanes.items()
    }


def _typical(lanes: list[Lane], part: int) -> float:
    cycles = zip(*([cycle[part] for cycle in lane.cycles] for lane in lanes), strict=True)
    return statistics.mean(statistics.median(times) for times in cycles)


def compare(report: Report, workload: Workload) -> None:
    """Measures a workload and adds its figures, with the limits on the ratios to the floor."""
    name = workload.name
    print(f" workload {name}: {workload.label}")
    before = _floors(workload)
    measured = measure(workload)
    floors = {
        family: {part: statistics.mean((before[family][part], after)) for part, after in parts.items()}
        for family, parts in _floors(workload).items()
    }
    for one, step, _, size in measured.values():
        settings = ", ".join(f"{key}={value}" for key, value in one.settings.items())
        report.add(f"{name} {one.name}: ms a step", step)
        report.add(f"{name} {one.name}: state, MB", size / 1e6)
        print(f"      [{one.scope}] {settings}")
    for family, label in FAMILIES.items():
        ours, between = measured[label].step, measured[label].between
        peers = {
            one.name: step
            for one, step, *_ in measured.values()
            if one.family == family and not one.ours and one.scope == measured[label].contender.scope
        }
        if peers:
            best = min(peers, key=peers.__getitem__)
            report.add(f"{name} {label} over the best peer, {best}", ours / peers[best])
        for part, milliseconds in floors[family].items():
            report.add(f"{name} {label}, floor, {part}: ms a step", milliseconds)
        report.add(f"{name} {label}, ours, between checks: ms a step", between)
        report.add(f"{name} {label}, ours, what the check adds: ms a step", ours - between)
        least = sum(floors[family].values())
        report.at_most(f"{name} {label} over its floor", ours / least, LIMITS[name][family])
        more = passes(_shapes(workload, family), family, name)
        for part, milliseconds in more.items():
            report.add(f"{name} {label}, {part}: ms a step", milliseconds)
        report.add(f"{name} {label} over its floor with passes", ours / (least + sum(more.values())))
    memory(report, name, measured)


def _shapes(workload: Workload, family: Family) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in workload.model().parameters() if family != "soap" or p.dim() > 1]


def _floors(workload: Workload) -> dict[Family, dict[str, float]]:
    return {family: floor(_shapes(workload, family), family, workload.name) for family in FAMILIES}


def memory(report: Report, name: str, measured: dict[str, Measured]) -> None:
    """State of ours beside that of the peer that keeps the same; D and eps, a number or two a row, are below 1 %."""
    for ours, peer in ALIKE:
        if peer not in measured:
            continue
        mine, theirs = measured[ours].state, measured[peer].state
        report.at_most(f"{name} {ours}, state over {peer}", mine / theirs, 1.01)


def main() -> int:
    torch.set_num_threads(1)
    report = Report("optimizers")
    chosen = [name for name in WORKLOADS if f"--workload={name}" in sys.argv] or list(WORKLOADS)
    for name in chosen:
        compare(report, WORKLOADS[name])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
