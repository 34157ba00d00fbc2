"""What a task is as data: its settings, what it asks of a machine, and how it is built. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foam_viz.optim.fields import Constraint, Field, FieldError, check_all
from foam_viz.tasks import uploads
from foam_viz.tasks.files import FileField
from foam_viz.tasks.outline import Outliner
from foam_viz.tasks.shared_fields import require_precision

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
        outline: What the settings ask of a machine, so that nobody need build the task to know.
        local_fields: Settings that name something on the user's own disk: for the CLI and the library, never for
            links, pages and manifests of others (see ``foreign``).
        constraints: Relations between the settings.
        optimizer_defaults: Settings of optimizers whose defaults this task has of its own, by name: damping is measured
            in gradient^2, so that it fits one task and not another.
        picture: Kind of its picture, which says what arrays ``Task.picture`` returns: ``decision``,
            ``reconstruction``, ``ellipse`` or ``singular-values``; None where it has none.
    """

    name: str
    label: str
    summary: str
    factory: str
    fields: tuple[Field, ...]
    loss_unit: str
    outline: Outliner
    local_fields: tuple[Field, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    optimizer_defaults: tuple[tuple[str, Any], ...] = ()
    picture: str | None = None

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every setting, the local ones too."""
        return self.fields + self.local_fields

    def uses_upload(self, settings: Mapping[str, Any]) -> bool:
        """Whether settings name an upload of this server, and no other file."""
        named = [settings.get(field.name) for field in self.local_fields if isinstance(field, FileField)]
        given = [value for value in named if value is not None]
        return bool(given) and all(map(uploads.is_upload, given))

    def review(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """Complete settings (defaults where missing or refused) and every error found."""
        return check_all(self.all_fields, settings, self.constraints)

    def foreign(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """Settings that came from elsewhere - a link, an uploaded manifest - without those that open local files.

        Uploads of this server may be named, and what is said of them.

        Returns:
            The settings that may be used, still unchecked, and an error for each local one that was set.
        """
        local = {field.name for field in self.local_fields}
        if self.uses_upload(settings):
            return dict(settings), []
        allowed = (
            "left out here: it names something on the disk of whoever runs this, so set it on the command line, or "
            "upload the file"
        )
        kept = {name: value for name, value in settings.items() if name not in local}
        refused = {name: value for name, value in settings.items() if name in local and value is not None}
        return kept, [FieldError(name, value, allowed) for name, value in refused.items()]

    def build(self, settings: Mapping[str, Any], *, seed: int, device: str = "cpu", precision: str = "float32") -> Task:
        """Builds the task; ``settings`` are complete and checked.

        Args:
            settings: All settings of the task.
            seed: Seeds the initial weights and every batch.
            device: What torch calls it.
            precision: ``float32`` or ``float64``, of model and batches.

        Raises:
            FieldError: A file that a setting names cannot be used, or the device does not have the precision.
        """
        require_precision(precision, device)
        module, attribute = self.factory.split(":")
        task = getattr(import_module(module), attribute)(seed=seed, device=device, **settings)
        task.dtype = getattr(import_module("torch"), precision)
        return task
