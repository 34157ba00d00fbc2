"""One run: a task, a model, an optimizer and a recorder, advanced step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from foam_viz import device as devices
from foam_viz.engine.worker import description
from foam_viz.experiment import edits as edited
from foam_viz.experiment.edits import Edit
from foam_viz.experiment.run_fields import RUN_FIELDS, learning_rate_factor
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim import editing
from foam_viz.optim.factored import FactoredOptimizer
from foam_viz.optim.grouping import hidden_matrices
from foam_viz.optim.shampoo import Shampoo
from foam_viz.recording.factor_stream import FactorStream
from foam_viz.recording.recorder import Recorder, Schedule
from foam_viz.recording.stream import Sample
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace.manifest import Manifest

# On a GPU losses stay on the device until this many have gathered: reading each would make the host wait for the
# device at every step. It is a count of steps, so a run's rows do not depend on the clock.
_DEVICE_LOSSES = 10
_TIMED = {
    "gradient": "gradient_seconds",
    "statistics": "statistics_seconds",
    "check": "check_seconds",
    "decomposition": "decomposition_seconds",
    "update": "update_seconds",
}
"""Phases by the columns that hold their seconds; all but the gradient are the optimizer's."""


class Run:
    """A run is a function of its configuration: same configuration, same machine, same numbers.

    Args:
        config: ``task``, ``task_settings``, ``run_settings``, ``optimizer``, ``optimizer_settings``, all complete, and
            ``edits`` where there are some.
        run_id: The identity that its trace carries.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        schedule: When what is recorded.
        followed: Position of the followed factor; None follows the largest factor of the first matrix.
        recording: False measures nothing but the loss: what the recorder costs is measured against this.
        stream: Whether the factor stream is kept, where the optimizer has inverse roots: see ``engine.factor_stream``.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        run_id: str,
        device: str = "cpu",
        schedule: Schedule | None = None,
        followed: int | None = None,
        recording: bool = True,
        stream: bool = False,
    ) -> None:
        self.config = dict(config)
        self.run_id = run_id
        self.device = devices.choose(device)
        self.step = 0
        self.status = "paused"
        self.diverged_step: int | None = None
        self.refreshed = self.checked = False
        self.phase = ""
        self.loss: Tensor | None = None
        self._at_hand: Iterator[str] | None = None
        self._through = True
        run_settings = config["run_settings"]
        self._last_step = run_settings["steps"]
        self.task = tasks.find(config["task"]).build(
            config["task_settings"],
            seed=run_settings["seed"],
            device=self.device,
            precision=run_settings["precision"],
        )
        self.model = self.task.model()
        spec = optimizers.find(config["optimizer"])
        self.optimizer = spec.build(self._parameters(), config["optimizer_settings"])
        self.take_edits(map(edited.from_json, config.get("edits", ())))
        self.clock = devices.clock(self.task.device)
        self.factors = description.factor_infos(self.optimizer, self.model)
        if followed is None and self.factors:
            followed = description.default_followed(self.factors)
        self.recorder = Recorder(schedule or Schedule(), self.clock, followed)
        self._recording = recording
        if self.factors and recording:
            self.optimizer.observer = self.recorder.on_check
        if isinstance(self.optimizer, FactoredOptimizer):
            self.optimizer.decomposing = lambda: self.clock.within("decomposition")
        self._stream = (
            FactorStream(self.optimizer, self.factors, config["optimizer_settings"]["period"])
            if stream and isinstance(self.optimizer, Shampoo) and self.factors
            else None
        )
        self._pictured = tasks.find(config["task"]).picture
        self._losses: list[tuple[dict[str, Any], dict[str, Tensor]]] = []
        self._gather = 1 if self.device == "cpu" else _DEVICE_LOSSES

    def _parameters(self) -> Iterable[Any]:
        """Parameters or groups of them: where matrices alone are preconditioned, embeddings and heads go to AdamW."""
        if self.config["optimizer_settings"].get("precondition") == "matrices":
            return hidden_matrices(self.model, self.task.heads(self.model))
        return self.model.parameters()

    def take_edits(self, edits: Iterable[Edit]) -> None:
        """Have these edits and no others from the next step on; those of steps that were made are as they were."""
        self._edits = tuple(edits)
        told = [replace(edit, lane=None).to_json() for edit in self._edits]
        self.config = {**{k: v for k, v in self.config.items() if k != "edits"}, **({"edits": told} if told else {})}

    def _edit(self, step: int) -> None:
        """Bring the optimizer to the settings of a step, and record what changes there."""
        new = [edit for edit in self._edits if edit.step == step]
        if not new:
            return
        fields = {f.name: f for f in (*optimizers.find(self.config["optimizer"]).all_fields, *RUN_FIELDS)}
        before, after = self.settings_at(step - 1), self.settings_at(step)
        own = self.config["optimizer_settings"]
        editing.edit(self.optimizer, {edit.setting: after[edit.setting] for edit in new if edit.setting in own})
        for name in dict.fromkeys(edit.setting for edit in new if before[edit.setting] != after[edit.setting]):
            field, value = fields[name], after[name]
            self.recorder.events.add(
                {
                    "step": step,
                    "kind": "edit",
                    "factor": None,
                    "setting": name,
                    "value": float(value) if isinstance(value, int | float) else None,
                    "message": f"{field.symbol or field.label} from {field.format(before[name])} to "
                    f"{field.format(value)}.",
                }
            )

    def settings_at(self, step: int) -> dict[str, Any]:
        """The settings of the optimizer and of the run with which a step is made."""
        return edited.in_force({**self.config["run_settings"], **self.config["optimizer_settings"]}, self._edits, step)

    def _learning_rate(self, step: int) -> float:
        settings = self.settings_at(step)
        return settings["lr"] * learning_rate_factor(settings, step)

    @property
    def live(self) -> bool:
        """True while another step can be made."""
        return self.status not in ("diverged", "finished")

    def next_is_check(self) -> bool:
        """True where the next step is a check step of some factor."""
        return bool(self.factors) and self.optimizer.next_is_check()

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases of a step in their order; optimizers without factors have no statistics and no check."""
        own = self.optimizer.phase_names if isinstance(self.optimizer, FactoredOptimizer) else ("update",)
        return ("gradient", *own)

    @property
    def next_phase(self) -> str:
        """The name of the phase that comes next."""
        names = self.phase_names
        return names[names.index(self.phase) + 1] if self.phase else names[0]

    def came_to(self, goal: str, factor: int | None = None) -> bool:
        """Whether the last step had a ``check`` or a ``refresh``.

        Args:
            goal: Which of the two.
            factor: Index of the factor that counts; None for any.
        """
        if factor is None or factor >= len(self.factors):
            return self.checked if goal == "check" else self.refreshed
        one = self.optimizer.factors()[factor]
        return self.step == (one.last_check_step if goal == "check" else one.last_decomposition_step)

    @property
    def within_step(self) -> bool:
        """True between two phases of a step, where nothing can be saved."""
        return bool(self.phase)

    def advance(self) -> None:
        """One step of training, recorded, or the rest of one. Sets ``checked`` and ``refreshed`` for what happened."""
        self._through = True
        self._go_on()

    def advance_phase(self) -> None:
        """One phase of a step, the last one with all that is recorded of the step."""
        self._through = False
        self._go_on()

    def _go_on(self) -> None:
        if self._at_hand is None:
            self._at_hand = self._phases()
        phase = ""
        try:
            phase = next(self._at_hand, "")
        finally:  # a step that failed is not gone on with
            self.phase = phase
            if not phase:
                self._at_hand = None

    def _phases(self) -> Iterator[str]:
        """A step: yields the name of each phase but the last when it is done, unless the step is made in one."""
        step = self.step + 1
        self._edit(step)
        learning_rate = self._learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.checked = self.next_is_check()
        before = self.recorder.decompositions
        batch = self.task.batch(step)
        names = self.phase_names
        self.clock.begin(names[0])
        loss = self.task.loss(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.clock.stop()
        self.loss = loss.detach()
        on_device = {"loss": self.loss}
        measured = self._recording and self.recorder.takes_norms(step)
        parameters = list(self.model.parameters()) if measured else []
        if measured:
            on_device["gradient_norm"] = get_total_norm([p.grad for p in parameters if p.grad is not None])
            before_update = [parameter.detach().clone() for parameter in parameters]
        if not self._through:
            yield "gradient"
        self.clock.begin(names[1])
        if isinstance(self.optimizer, FactoredOptimizer):
            for done, following in zip(self.optimizer.phases(), (*names[2:], ""), strict=True):
                self.clock.stop()
                if following:
                    if not self._through:
                        yield done
                    self.clock.begin(following)
        else:
            self.optimizer.step()
            self.clock.stop()
        if measured:
            changes = torch._foreach_sub([parameter.detach() for parameter in parameters], before_update)
            on_device["update_norm"] = get_total_norm(changes)
        self.step = step
        if self.factors and self._recording:
            self.recorder.after_step(step, self.optimizer)
        if self._stream is not None:
            self._stream.after_step(step)
        self.refreshed = self.recorder.decompositions > before
        held_out = None
        if self._recording and (step == 1 or step % self.recorder.schedule.held_out_period == 0):
            # SPlus is evaluated with the mean of its weights, the others with the weights.
            with getattr(self.optimizer, "evaluation_weights", nullcontext)():
                held_out = float(self.task.held_out_loss(self.model, step))
        if self._pictured and self._recording and (step == 1 or step % self.recorder.schedule.picture_period == 0):
            picture = self.task.picture(self.model, step)
            assert picture is not None  # the catalogue says that the task has one
            self.recorder.picture(step, picture)
        row = {
            "step": step,
            "held_out_loss": held_out,
            "learning_rate": learning_rate,
            "decompositions": self.recorder.decompositions if self.factors else None,
            **self._seconds(),
        }
        self._losses.append((row, on_device))
        if len(self._losses) >= self._gather:
            self._read_losses()
        if self.live and step >= self._last_step:
            self._read_losses()
            self.status = "finished" if self.live else self.status

    @property
    def optimizer_seconds(self) -> float:
        """Seconds of the optimizer so far: of all phases but the gradient."""
        return _without_gradient(self.clock.seconds())

    def _seconds(self) -> dict[str, float | None]:
        """Seconds so far by column; None for a phase that this optimizer does not have."""
        spent = self.clock.seconds()
        mine = {*self.phase_names, *(["decomposition"] if self.factors else [])}
        by_phase = {column: spent.get(phase, 0.0) if phase in mine else None for phase, column in _TIMED.items()}
        return {"optimizer_seconds": _without_gradient(spent), **by_phase}

    def _read_losses(self) -> None:
        """Brings the gathered losses to the host; the first that is not finite ends the run, marked diverged."""
        if not self._losses:
            return
        waiting = [tensor for _, on_device in self._losses for tensor in on_device.values()]
        on_host = self.device == "cpu"
        values = iter(map(float, waiting) if on_host else torch.stack([*map(devices.widest, waiting)]).tolist())
        for row, on_device in self._losses:
            row |= {name: next(values) for name in on_device}
            self.recorder.steps.add(row)
            step, value = row["step"], row["loss"]
            if not math.isfinite(value):
                self.status, self.diverged_step, self.step = "diverged", step, step
                self.recorder.events.add(
                    {
                        "step": step,
                        "kind": "diverged",
                        "factor": None,
                        "value": value,
                        "message": f"The loss of step {step} is {value}: the run stopped. A smaller learning rate or "
                        "more damping may help.",
                    }
                )
                break
        self._losses = []

    def follow(self, position: int) -> None:
        """Follows another factor from the next step on."""
        if self.factors:
            self.recorder.followed = min(max(position, 0), len(self.factors) - 1)

    def drain(self) -> dict[str, pa.Table]:
        """The rows since the last drain."""
        self._read_losses()
        return self.recorder.drain()

    def tell(self, kind: str, message: str, value: float | None = None) -> None:
        """Record an event of the run as a whole."""
        event = {"step": self.step, "kind": kind, "factor": None, "value": value, "message": message}
        self.recorder.events.add(event)

    @property
    def streams(self) -> bool:
        """Whether the factor stream is kept."""
        return self._stream is not None

    def drain_stream(self) -> list[list[Sample]]:
        """The samples of the factor stream since the last drain, a list a step; empty where none is kept."""
        return [] if self._stream is None else self._stream.drain()

    def manifest(self, *, name: str | None = None, shared_machine: bool = False) -> Manifest:
        """What the trace says of the run as a whole, now."""
        return description.manifest(self, name, shared_machine)

    def state(self) -> dict[str, Any]:
        """Everything a continuation needs, of tensors and plain values alone (``weights_only=True`` reads it)."""
        return {
            "step": self.step,
            "status": self.status,
            "diverged_step": self.diverged_step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.clock.seconds(),
            "decompositions": self.recorder.decompositions,
            "followed": self.recorder.followed,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.status, self.diverged_step = state["step"], state["status"], state["diverged_step"]
        spent = state["seconds"]  # a number in states from before phases were timed
        self.clock.restore(spent if isinstance(spent, Mapping) else {"update": spent})
        self.recorder.decompositions = state["decompositions"]
        self.recorder.followed = state["followed"]
        if self.factors:
            self.recorder.last_decomposition = {
                i: factor.last_decomposition_step for i, factor in enumerate(self.optimizer.factors())
            }


def _without_gradient(spent: Mapping[str, float]) -> float:
    return sum(seconds for phase, seconds in spent.items() if phase != "gradient")
