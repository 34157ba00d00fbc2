"""Edits and forks of lanes that train: what is changed, what is saved of it, and why something cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from foam_viz.engine.wire.commands import Change
from foam_viz.engine.worker.lockstep import Lockstep
from foam_viz.engine.worker.saving import Saving
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.edits import Edit
from foam_viz.optim.fields import FieldError


class Editor:
    """Changes the experiment of lanes in lockstep. What cannot be done is not done in part either.

    Args:
        lockstep: The lanes.
        saving: What is saved of them.
        most_lanes: So many lanes the run may have.
    """

    def __init__(self, lockstep: Lockstep, saving: Saving, most_lanes: int) -> None:
        self._lockstep, self._saving, self._most_lanes = lockstep, saving, most_lanes
        self._changed = False

    def take_changed(self) -> bool:
        """Whether the experiment has changed since this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    # --- edits

    def edit(self, changes: Sequence[Change], step: int) -> str:
        """Change settings from a step on.

        Args:
            changes: What is changed.
            step: The next that begins.

        Returns:
            What a person should know; empty where there is nothing.
        """
        lanes = self._lockstep
        ended = [number for number, run in enumerate(lanes.runs, 1) if not run.live]
        if refused := [one for one in changes if not lanes.live or one.lane in ended]:
            which = "The run" if not lanes.live else f"Lane {refused[0].lane}"
            return (
                f"{which} has ended at step {lanes.step:,}: {refused[0].setting} stays as it was. A new run, or a fork "
                "of an earlier step, can have another."
            )
        before = lanes.experiment
        made, errors = before.edited([Edit(step, one.lane, one.setting, one.value) for one in changes])
        return self._use(made, errors) or _overwritten(before, changes, step)

    def undo(self, step: int) -> str:
        """Take the last edit back from a step on; the result is that of :meth:`edit`."""
        lanes = self._lockstep
        if not lanes.live:
            return f"The run has ended at step {lanes.step:,}: there is nothing to undo in it."
        return self._use(*lanes.experiment.undone(step))

    def _use(self, experiment: Experiment, errors: Sequence[FieldError]) -> str:
        if errors:
            return "Not changed. " + " ".join(f"{error}." for error in errors)
        self._lockstep.edit(experiment)
        self._changed = True
        self._saving.write_experiment(with_manifests=True)
        return ""

    # --- forks

    def fork(self, lane: int, step: int | None, changes: Sequence[Change]) -> str:
        """Add a lane that is another up to a step.

        Args:
            lane: Number of the lane, counted from 1.
            step: The last step that both share; None for the last that was made.
            changes: What is otherwise from the next step on.

        Returns:
            Why it cannot be; empty where it was done.
        """
        lanes = self._lockstep
        if why := self._cannot_fork(lane, step):
            return f"Not forked. {why}"
        shared = lanes.runs[lane - 1].step if step is None else step
        number = lanes.count + 1
        made = lanes.experiment.forked(lane - 1, shared)
        made, errors = made.edited([Edit(shared + 1, number, one.setting, one.value) for one in changes])
        if errors:
            return "Not forked. " + " ".join(f"{error}." for error in errors)
        lanes.fork(made, self._saving.state_at(lane - 1, shared))
        self._changed = True
        self._saving.add_fork()
        return ""

    def _cannot_fork(self, lane: int, step: int | None) -> str:
        lanes = self._lockstep
        if not 1 <= lane <= lanes.count:
            return f"lane = {lane}: must be one from 1 to {lanes.count}."
        if lanes.count >= self._most_lanes:
            return f"There are {lanes.count} lanes, as many as a run may have: remove one, which makes a new run."
        if lanes.catching_up:
            return "Another fork catches up: wait for it, or cancel it."
        parent = lanes.runs[lane - 1]
        last = min(parent.step, lanes.experiment.run_settings["steps"] - 1)
        if parent.diverged_step is not None:
            last = parent.diverged_step - 1
        least = 0 if (own := lanes.parents[lane - 1]) is None else own.step
        shared = parent.step if step is None else step
        if not least <= shared <= last:
            ended = f"lane {lane} has ended at step {parent.step:,}; " if not parent.live else ""
            return f"step = {shared:,}: {ended}must be from {least:,} to {last:,}; move the time cursor there."
        return ""

    def cancel_fork(self) -> str:
        """Remove the fork that catches up; the result is that of :meth:`fork`."""
        if not self._lockstep.catching_up:
            return "No fork catches up: there is nothing to cancel."
        self._lockstep.cancel_fork()
        self._changed = True
        self._saving.drop_fork()
        return ""


def _overwritten(before: Experiment, changes: Sequence[Change], step: int) -> str:
    """Two pages changed one setting, each without having seen the other's value: the last one holds, both know."""
    notice = ""
    for one in changes:
        lanes = range(len(before.lanes)) if one.lane is None else [one.lane - 1]
        values = [now[one.setting] for lane in lanes if one.setting in (now := before.settings_at(lane, step))]
        others = [value for value in values if one.shown is not None and value != one.shown]
        if others and one.value not in others:
            whose = "" if one.lane is None else f" of lane {one.lane}"
            notice = (
                f"Two pages changed {one.setting}{whose}: one to {others[0]}, then another to {one.value}, which "
                f"holds from step {step:,} on."
            )
    return notice
