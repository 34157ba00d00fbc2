"""What a run would cost, from its configuration alone, and whether an installation allows it. Imports no torch.

A page, a link, the command line and the engine ask before anything is built: one run must not stop those of others.
Times are projected for one core of a CPU, to within a factor of about three; a GPU has limits of its own, and a run
that needs too much of it is ended there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from foam_viz.experiment.config import Experiment, LaneConfig
from foam_viz.optim.blocks import matrix_shape
from foam_viz.optim.fields import Field, FieldError, format_number
from foam_viz.recording.stream.writing import RUN_BYTES
from foam_viz.settings import Settings
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks.outline import Outline, Parameter

OWN_ENGINE_SECONDS = 1.0
"""A run whose longest step is projected to take longer shares no engine with others."""
_OWN_ENGINE_MEMORY = 0.25
_MIB = 2**20
_LEAST_CHECKS = 32

# Measured on one core of a server of 2024, see :func:`project` for what they multiply.
_OPERATIONS_PER_SECOND = 45e9
_SECONDS_A_CUBE = 7e-10
_SECONDS_A_FACTOR = 1e-3
_BYTES = 4
_COPIES_OF_PARAMETERS, _COPIES_OF_FACTORS, _COPIES_OF_KEPT = 8, 10, 1.6
_BYTES_A_FACTOR = 8192


@dataclass(frozen=True)
class Cost:
    """What all lanes of an experiment need together.

    Attributes:
        factors: Kronecker factors.
        memory: Bytes.
        seconds: Of the longest step: one in which every factor is decomposed and recorded, on one core.
    """

    factors: int
    memory: float
    seconds: float


@dataclass(frozen=True)
class _Limit:
    setting: str
    most: float
    of: Callable[[Cost], float]
    words: Callable[[float], str]


def factor_sizes(parameters: tuple[Parameter, ...], settings: Mapping[str, Any]) -> Counter[int]:
    """How many factors of each size an optimizer keeps.

    Args:
        parameters: Of the model.
        settings: Of the optimizer, complete; those of one that keeps no factors name no ``max_preconditioner_dim``.
    """
    sizes: Counter[int] = Counter()
    limit, which = settings.get("max_preconditioner_dim"), settings.get("precondition", "all")
    if limit is None or which == "none":
        return sizes
    cuts = "merge_dims" in settings  # the others rotate whole parameters, and leave out a dimension that is too large
    for parameter in parameters:
        matrix = sum(size > 1 for size in parameter.shape) >= 2
        if which == "matrices" and (parameter.outer or not matrix):
            continue
        if not cuts:
            if len(parameter.shape) > 1 or settings.get("precondition_1d"):
                sizes.update(size for size in parameter.shape if size <= limit)
            continue
        shape = matrix_shape(parameter.shape, limit, settings["merge_dims"])
        chunks = [-(-size // limit) for size in shape]
        for size, own in zip(shape, chunks, strict=True):
            others = prod(chunks) // own
            whole, rest = divmod(size, limit)
            if whole:
                sizes[limit] += whole * others
            if rest:
                sizes[rest] += others
    return sizes


def project(experiment: Experiment) -> Cost:
    """The cost of an experiment.

    A step multiplies and adds each number of the forward pass twice more in the backward pass. A decomposition of n
    rows takes n^3 times a constant, its record included; a factor takes some time and memory however small it is.
    """
    outline = tasks.find(experiment.task).outline(experiment.task_settings)
    parts = [_lane(outline, lane) for lane in experiment.lanes]
    # Lanes step one after the other: what the backward pass keeps is there once.
    kept = _BYTES * _COPIES_OF_KEPT * outline.kept
    return Cost(sum(part.factors for part in parts), kept + sum(p.memory for p in parts), sum(p.seconds for p in parts))


def _lane(outline: Outline, lane: LaneConfig) -> Cost:
    sizes = factor_sizes(outline.parameters, lane.settings)
    factors = sizes.total()
    numbers = sum(prod(parameter.shape) for parameter in outline.parameters)
    squares = sum(count * size**2 for size, count in sizes.items())
    cubes = sum(count * size**3 for size, count in sizes.items())
    return Cost(
        factors,
        _BYTES * (_COPIES_OF_PARAMETERS * numbers + _COPIES_OF_FACTORS * squares) + _BYTES_A_FACTOR * factors,
        6 * outline.multiplications / _OPERATIONS_PER_SECOND + _SECONDS_A_CUBE * cubes + _SECONDS_A_FACTOR * factors,
    )


@dataclass(frozen=True)
class StreamCost:
    """What the factor stream of a run takes on the disk.

    Attributes:
        checks: Checks of each factor, in all steps of the run.
        first_check: Step of the first.
        bytes_a_check: Bytes of numbers that one check of all factors adds.
        stride: Of so many checks one stays, the others are thinned out to stay within the cap.
    """

    checks: int
    first_check: int
    bytes_a_check: int
    stride: int

    @property
    def bytes(self) -> int:
        """Bytes of numbers in the end."""
        return self.bytes_a_check * -(-self.checks // self.stride)

    @property
    def words(self) -> str:
        """What it takes, in a sentence."""
        size = f"{self.bytes / _MIB:,.1f} MiB"
        if not self.checks:
            return (
                f"The factor stream stays empty: the run ends before its first check, at step {self.first_check:,}. "
                "Train for more steps, or let it start earlier."
            )
        if self.stride == 1:
            checks = "1 check" if self.checks == 1 else f"{self.checks:,} checks"
            return f"The factor stream takes about {size}: {checks} of all factors."
        return (
            f"The factor stream takes about {size}: of {self.checks:,} checks one in {self.stride:,} stays, the others "
            "are thinned out to stay within its cap."
        )


def stream(experiment: Experiment, lane: int, cap: int) -> StreamCost | None:
    """What the factor stream of a lane takes; None where its optimizer has no inverse roots to replay.

    Args:
        experiment: What is trained.
        lane: Position of the lane.
        cap: Bytes of numbers a run, at most.
    """
    settings = experiment.lanes[lane].settings
    if not experiment.lanes[lane].spec.is_replayable:
        return None
    sizes = factor_sizes(tasks.find(experiment.task).outline(experiment.task_settings).parameters, settings)
    if not sizes:
        return None
    steps, period = experiment.run_settings["steps"], settings["period"]
    first = settings.get("start") or period
    checks = 1 + steps // period - first // period if steps >= first else 0
    size = sum(count * _BYTES * rows * (rows + 1) // 2 for rows, count in sizes.items())
    stride = 1
    while size * -(-checks // stride) > cap and stride < checks:
        stride *= 2
    return StreamCost(checks, first, size, stride)


def streams_by_default(experiment: Experiment, lane: int) -> bool:
    """Whether a run is small enough to keep its factors without being asked: 32 checks fit into its cap."""
    told = stream(experiment, lane, RUN_BYTES)
    return told is not None and told.bytes_a_check * _LEAST_CHECKS <= RUN_BYTES


class TooCostly(ValueError):
    """A run that goes beyond what this installation allows.

    Attributes:
        errors: One for each limit.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("Not trained here. " + " ".join(f"{error}." for error in errors))
        self.errors = tuple(errors)


def require(experiment: Experiment, settings: Settings, *, on_cpu: bool) -> None:
    """Refuses an experiment that :func:`review` finds fault with.

    Raises:
        TooCostly: It goes beyond a limit.
    """
    if errors := review(experiment, settings, on_cpu=on_cpu):
        raise TooCostly(errors)


def needs_own_engine(cost: Cost, settings: Settings) -> bool:
    """True where a run should share no engine with others."""
    return cost.seconds > OWN_ENGINE_SECONDS or cost.memory > _OWN_ENGINE_MEMORY * settings.engine_memory


def _limits(settings: Settings, on_cpu: bool) -> list[_Limit]:
    limits = [
        _Limit("maximum_factors", settings.maximum_factors, lambda c: c.factors, lambda v: f"{v:,.0f} factors"),
        _Limit(
            "engine_memory_mb", settings.engine_memory, lambda c: c.memory, lambda v: f"{v / _MIB:,.0f} MiB of memory"
        ),
        _Limit("step_seconds", settings.step_seconds, lambda c: c.seconds, lambda v: f"{v:,.3g} s for a step"),
    ]
    return limits if on_cpu else limits[:1]


def review(experiment: Experiment, settings: Settings, *, on_cpu: bool = True) -> list[FieldError]:
    """Everything in which an experiment goes beyond what an installation allows; empty where it may be trained.

    Each error names the setting of the experiment that costs most, the limit and a value that is allowed.

    Args:
        experiment: What would be trained.
        settings: Of the installation.
        on_cpu: Whether it trains on the CPU; memory and times of other devices are not projected.
    """
    cost = project(experiment)
    return _too_large(experiment, settings) + [
        _error(experiment, limit, limit.of(cost)) for limit in _limits(settings, on_cpu) if limit.of(cost) > limit.most
    ]


def _too_large(experiment: Experiment, settings: Settings) -> list[FieldError]:
    """What goes beyond a limit whose setting stands for itself."""
    width, lanes = experiment.task_settings.get("width", 0), len(experiment.lanes)
    errors = []
    if width > settings.maximum_width:
        errors.append(FieldError("width", width, f"at most {settings.maximum_width:,} here (maximum_width)"))
    if lanes > settings.maximum_lanes:
        errors.append(FieldError("optimizers", lanes, f"at most {settings.maximum_lanes} here (maximum_lanes)"))
    return errors


def _error(experiment: Experiment, limit: _Limit, value: float) -> FieldError:
    """Blames the setting whose default would save most, and names the nearest value that is within the limit."""
    choices = [
        (limit.of(project(_with(experiment, position, field, field.default))), number, position, field)
        for number, (position, field, now) in enumerate(_fields(experiment))
        if field.kind == "integer" and now != field.default
    ]
    said = f"the run would need about {limit.words(value)}, and {limit.words(limit.most)} are allowed here"
    said = f"{said} ({limit.setting})"
    best = min(choices, default=None, key=lambda choice: choice[:2])
    if best is None or best[0] >= value:
        allowed = f"fewer, or of other kinds: with them {said}"
        return FieldError("optimizers", ", ".join(lane.optimizer for lane in experiment.lanes), allowed)
    _, _, position, field = best
    now = _settings(experiment, position)[field.name]
    if best[0] <= limit.most:
        nearest = _nearest(experiment, limit, position, field, now)
        bound = "at least" if nearest > now else "at most"
        return FieldError(field.name, now, f"{bound} {format_number(nearest)}: {said}")
    return FieldError(field.name, now, f"nearer to {field.format(field.default)}, and others less: {said}")


def _nearest(experiment: Experiment, limit: _Limit, position: int | None, field: Field, now: int) -> int:
    """The value nearest to ``now`` that is within the limit, between it and the default, which is."""
    refused, allowed = now, field.default
    while abs(refused - allowed) > 1:
        middle = (refused + allowed) // 2
        within = limit.of(project(_with(experiment, position, field, middle))) <= limit.most
        refused, allowed = (refused, middle) if within else (middle, allowed)
    return allowed


def _fields(experiment: Experiment) -> list[tuple[int | None, Field, Any]]:
    """Every setting of the task (at None) and of each lane (at its number) with its value."""
    spec = tasks.find(experiment.task)
    found: list[tuple[int | None, Field, Any]] = []
    found += [(None, field, experiment.task_settings[field.name]) for field in spec.fields]
    found += [
        (position, field, lane.settings[field.name])
        for position, lane in enumerate(experiment.lanes)
        for field in lane.spec.all_fields
    ]
    return found


def _settings(experiment: Experiment, position: int | None) -> Mapping[str, Any]:
    return experiment.task_settings if position is None else experiment.lanes[position].settings


def _with(experiment: Experiment, position: int | None, field: Field, value: Any) -> Experiment:
    changed = {**_settings(experiment, position), field.name: value}
    if position is None:
        return Experiment(experiment.task, changed, experiment.run_settings, experiment.lanes)
    lanes = tuple(
        LaneConfig(lane.optimizer, changed) if number == position else lane
        for number, lane in enumerate(experiment.lanes)
    )
    return Experiment(experiment.task, experiment.task_settings, experiment.run_settings, lanes)
