"""Every task with its settings: the one list that UI, CLI, URL, validation and export read. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foam_viz.optim.fields import Field, FieldError, check_all

if TYPE_CHECKING:
    from foam_viz.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task as data.

    Attributes:
        name: Its name in the CLI and in links.
        label: Its name on a page.
        summary: One sentence on what is learned and why it is here.
        factory: ``module:attribute`` of the class, imported when the task is built.
        fields: Its settings.
        loss_unit: Unit of the loss.
    """

    name: str
    label: str
    summary: str
    factory: str
    fields: tuple[Field, ...]
    loss_unit: str

    def review(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """Complete settings (defaults where missing or refused) and every error found."""
        return check_all(self.fields, settings)

    def build(self, settings: Mapping[str, Any], *, seed: int, device: str = "cpu") -> Task:
        """Builds the task; ``settings`` are complete and checked."""
        module, attribute = self.factory.split(":")
        return getattr(import_module(module), attribute)(seed=seed, device=device, **settings)


BATCH_SIZE = Field(
    name="batch_size",
    kind="integer",
    default=128,
    low=1,
    high=1400,
    label="Batch size",
    unit="examples",
    help="Examples drawn, with replacement, for one step.",
)

_ALL = (
    TaskSpec(
        name="digits-autoencoder",
        label="Digits autoencoder",
        summary="Squeezes 8x8 handwritten digits through 16 numbers and back: small, and visibly hurt by a stale "
        "preconditioner.",
        factory="foam_viz.tasks.digits:DigitsAutoencoder",
        fields=(BATCH_SIZE,),
        loss_unit="squared error per image",
    ),
    TaskSpec(
        name="digits-classifier",
        label="Digits classifier",
        summary="Tells 8x8 handwritten digits apart: too easy to show staleness at the end, good for first steps.",
        factory="foam_viz.tasks.digits:DigitsClassifier",
        fields=(BATCH_SIZE,),
        loss_unit="nats",
    ),
)
TASKS: dict[str, TaskSpec] = {spec.name: spec for spec in _ALL}
DEFAULT_TASK = _ALL[0].name


def find(name: str) -> TaskSpec:
    """The task of that name.

    Raises:
        FieldError: No such task; the message names the known ones and the closest.
    """
    if name in TASKS:
        return TASKS[name]
    close = get_close_matches(str(name), TASKS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise FieldError("task", name, f"one of {', '.join(TASKS)}{hint}")
