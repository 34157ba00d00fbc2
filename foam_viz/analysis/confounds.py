"""What besides the optimizer differs between runs, and which comparison that spoils."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.configuration import find, planned_steps, whole
from foam_viz.trace import Trace, TraceView

Spoils = Literal["time", "step", "both"]


@dataclass(frozen=True)
class Confound:
    """Something that makes runs hard to compare.

    Attributes:
        field: Stable name.
        label: Name to show.
        values: Value of each run in words, in the order of the runs; None where the log does not tell.
        spoils: What it spoils.
        certain: True when two runs are known to differ; False when some log does not tell and the others agree.
        words: What was found and why it matters.
    """

    field: str
    label: str
    values: tuple[str | None, ...]
    spoils: Spoils
    certain: bool
    words: str


@dataclass(frozen=True)
class _Field:
    name: str
    label: str
    spoils: Spoils
    why: str
    value: Callable[[Trace | TraceView], str | None]
    needed: bool = False
    """Unknown is a finding even when no run tells it: nothing can be said of time without it."""


def _text(value: object) -> str | None:
    if value is None or isinstance(value, Mapping) or value == "":
        return None
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or None
    return str(value)


def _hardware(trace: Trace | TraceView) -> str | None:
    """A named device, with its count where told; "cpu" alone names no machine."""
    manifest = trace.manifest
    name = _text(
        find(manifest.hardware, ("device_name", "gpu_name", "gpu_type", "accelerator", "gpu", "cpu_model", "cpu"))
    )
    if name is None and manifest.device.lower() not in ("", "cpu", "cuda", "gpu", "mps", "tpu", "xpu"):
        name = manifest.device
    return name


def _devices(trace: Trace | TraceView) -> int | None:
    names = ("world_size", "num_devices", "devices", "num_gpus", "n_gpus", "gpu_count", "nproc_per_node")
    for place in (trace.manifest.hardware, trace.manifest.config):
        if (count := whole(find(place, names))) is not None:
            return count
    return 1 if trace.manifest.format == "foam_viz" else None


def _world(trace: Trace | TraceView) -> str | None:
    count = _devices(trace)
    return f"{count:,}" if count else None


_FRAMEWORKS = ("torch", "pytorch", "jax", "tensorflow")


def _framework(trace: Trace | TraceView) -> str | None:
    software = trace.manifest.software
    told = _text(find(software, ("framework",)))
    versions = [f"{name} {value}" for name in _FRAMEWORKS if (value := _text(find(software, (name,))))]
    return told or (", ".join(versions) or None)


_GLOBAL_BATCH = ("global_batch_size", "total_batch_size", "effective_batch_size", "train_batch_size", "batch_size")
_DEVICE_BATCH = (
    "per_device_train_batch_size",
    "per_device_batch_size",
    "per_gpu_train_batch_size",
    "device_batch_size",
    "micro_batch_size",
)


def _batch(trace: Trace | TraceView) -> str | None:
    config = trace.manifest.config
    each = whole(find(config, _DEVICE_BATCH))
    if each is None:
        told = find(config, _GLOBAL_BATCH)
        return f"{count:,}" if (count := whole(told)) else _text(told)
    if (told := whole(find(config, _GLOBAL_BATCH[:-1]))) is not None:
        return f"{told:,}"
    rounds = whole(find(config, ("gradient_accumulation_steps", "grad_accum_steps", "accumulate_grad_batches"))) or 1
    devices = _devices(trace)
    return f"{each * rounds * devices:,}" if devices else f"{each * rounds:,} on each device, of unknown number"


def _planned(trace: Trace | TraceView) -> str | None:
    steps = planned_steps(trace)
    return f"{steps:,}" if steps else None


def _parameters(trace: Trace | TraceView) -> str | None:
    names = (
        "num_parameters",
        "n_parameters",
        "parameter_count",
        "num_params",
        "n_params",
        "model_parameters",
        "total_params",
    )
    for place in (trace.manifest.config, trace.manifest.hardware, trace.manifest.extra):
        if (count := whole(find(place, names))) is not None:
            return f"{count:,}"
    return None


def _clock(trace: Trace | TraceView) -> str | None:
    """Which clocks the run recorded; a clock that starts again is one of another kind."""
    kinds = []
    for axis in ("fair_time", "total_time"):
        along = BY_ID[axis].values(trace)
        if along.values is not None:
            kinds.append(BY_ID[axis].label + ("" if along.monotone else " (starts again)"))
    return " and ".join(kinds) or None


_SHARED, _WITH_OTHERS = "shared_machine", "shared with other runs"


def _shared(trace: Trace | TraceView) -> str | None:
    if trace.manifest.shared_machine:
        return _WITH_OTHERS
    return "to itself" if trace.manifest.format == "foam_viz" else None


_FIELDS: tuple[_Field, ...] = (
    _Field("hardware", "Hardware", "time", "seconds on unlike machines do not compare", _hardware, needed=True),
    _Field("world_size", "Devices", "time", "seconds on unlike numbers of devices do not compare", _world),
    _Field(
        "framework",
        "Framework",
        "time",
        "another framework or version spends other time on the same work",
        _framework,
    ),
    _Field(
        "clock",
        "Clock",
        "time",
        "total time counts evaluation and logging, training time does not",
        _clock,
        needed=True,
    ),
    _Field(_SHARED, "Machine shared", "time", "runs that trained at the same time slowed each other down", _shared),
    _Field(
        "batch_size",
        "Batch size",
        "both",
        "a step then sees another number of examples and takes another time",
        _batch,
    ),
    _Field(
        "steps_planned",
        "Steps planned",
        "step",
        "schedules are spread over the plan, so that at one step these runs are at unlike points of theirs",
        _planned,
    ),
    _Field("task", "Task", "both", "these are other problems", lambda trace: trace.manifest.task or None),
    _Field("parameters", "Parameters", "both", "these are other models", _parameters),
)


def confounds(traces: Sequence[Trace | TraceView]) -> list[Confound]:
    """Everything that differs, or may differ, between runs and spoils a comparison by step or by time.

    What a log does not tell is unknown, never equal. Where no log at all tells a field nothing is found for it, but for
    the hardware and the clock, without which nothing can be said of time.

    Args:
        traces: Two runs or more; for fewer nothing is found.
    """
    if len(traces) < 2:
        return []
    return [found for field in _FIELDS if (found := _compare(field, traces)) is not None]


def _compare(field: _Field, traces: Sequence[Trace | TraceView]) -> Confound | None:
    values = tuple(field.value(trace) for trace in traces)
    told = list(dict.fromkeys(value for value in values if value is not None))
    unknown = values.count(None)
    if field.name == _SHARED:
        # Runs that shared a machine with each other are spoilt even though the word is the same for all.
        if not (shared := values.count(_WITH_OTHERS)):
            return None
        words = f"{shared} of {len(values)} runs shared the machine: {field.why}"
        return Confound(field.name, field.label, values, field.spoils, True, words)
    if len(told) > 1:
        words = f"{field.label} differs ({_list(told)}): {field.why}"
        if unknown:
            words += f"; {unknown} of {len(values)} logs leave it out"
        return Confound(field.name, field.label, values, field.spoils, True, words)
    if unknown and (told or field.needed):
        known = f"the others say {told[0]}" if told else "no log tells it"
        who = f"{unknown} of {len(values)} logs leave it out" if told else "unknown"
        words = f"{field.label}: {who} ({known}); if it differs, {field.why}"
        return Confound(field.name, field.label, values, field.spoils, False, words)
    return None


def _list(told: list[str]) -> str:
    shown = [text if len(text) <= 40 else text[:39] + "…" for text in told[:4]]
    return ", ".join(shown) + (f" and {len(told) - 4} more" if len(told) > 4 else "")


_WITHOUT_IT_NO_TIME = frozenset({"hardware", "clock"})


def time_ranking_allowed(found: Iterable[Confound], confirmed: bool = False) -> bool:
    """Say whether runs may be ranked by time.

    Args:
        found: The confounds of the runs.
        confirmed: The reader saw them and said that the runs compare.

    Returns:
        True when confirmed, or when nothing that spoils time is known to differ and the hardware and the clock of
        every run are known.
    """
    return confirmed or not any(
        confound.spoils in ("time", "both") and (confound.certain or confound.field in _WITHOUT_IT_NO_TIME)
        for confound in found
    )


def step_ranking_note(found: Iterable[Confound]) -> str:
    """What to say beside a comparison by step; empty when nothing is known to spoil it."""
    spoilt = [confound.label.lower() for confound in found if confound.spoils in ("step", "both") and confound.certain]
    return f"By step these runs differ in more than the optimizer: {', '.join(spoilt)}." if spoilt else ""
