"""The settings of a run that belong to no optimizer and no task: its seed, schedule and length. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foam_viz.optim.fields import Field
from foam_viz.tasks.shared_fields import PRECISION

SCHEDULES = ("constant", "linear-decay", "warm-up", "warm-up-linear-decay")

RUN_FIELDS: tuple[Field, ...] = (
    Field(
        name="seed",
        kind="integer",
        default=0,
        low=0,
        high=2**31 - 1,
        label="Seed",
        help="Initial weights and every batch follow from it.",
        fixed="weights and batches have followed from it since the first step",
    ),
    Field(
        name="schedule",
        kind="choice",
        default="constant",
        choices=SCHEDULES,
        label="Learning-rate schedule",
        help="What multiplies the learning rate over the steps: nothing, a straight line down to zero, a straight "
        "line up at the start, or both.",
        editable=True,
    ),
    Field(
        name="warmup_steps",
        kind="integer",
        default=50,
        low=1,
        high=1_000_000,
        label="Warm-up",
        unit="steps",
        help="Steps until the learning rate reaches its full value, where the schedule warms up.",
        editable=True,
    ),
    Field(
        name="decay_steps",
        kind="integer",
        default=600,
        low=1,
        high=10_000_000,
        label="Decay until step",
        unit="steps",
        help="The step at which the learning rate reaches zero, where the schedule decays.",
        editable=True,
    ),
    Field(
        name="steps",
        kind="integer",
        default=100_000,
        low=1,
        high=10_000_000,
        label="Stop after",
        unit="steps",
        help="The run ends at this step.",
        fixed="a run is as long as its configuration says",
    ),
    PRECISION,
)


def learning_rate_factor(run_settings: Mapping[str, Any], step: int) -> float:
    """What the schedule multiplies the learning rate of a step (counted from 1) by, in [0, 1]."""
    schedule = run_settings["schedule"]
    factor = 1.0
    if schedule.startswith("warm-up"):
        factor = min(1.0, step / run_settings["warmup_steps"])
    if schedule.endswith("linear-decay"):
        factor *= max(0.0, 1.0 - (step - 1) / run_settings["decay_steps"])
    return factor
