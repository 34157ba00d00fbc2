"""Edits: settings that a run takes while it trains. They are a part of its configuration. Imports no torch.

An edit of step s acts in step s and holds from there on. The same edits in a link, on the command line or made by hand
while the run trained give the same run. What each setting does at its step is written in ``optim.editing``.

A lane may have a parent: it is the same run up to a step, and has edits of its own after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from foam_viz.experiment.run_fields import RUN_FIELDS
from foam_viz.optim.fields import Field, FieldError, check_all, format_number, unknown_key

if TYPE_CHECKING:
    from foam_viz.experiment.model import LaneConfig

MAXIMUM_EDITS = 1000
_FORM = re.compile(r"\s*(\d+)\s*:(?:\s*(\d+)\s*:)?\s*([^:=\s]+)\s*=(.*)", re.DOTALL)
_RUN = {field.name: field for field in RUN_FIELDS}


@dataclass(frozen=True)
class Edit:
    """A setting takes another value.

    Attributes:
        step: The first step with the new value, counted from 1.
        lane: Number of the lane, counted from 1; None for all lanes that have the setting.
        setting: Name of a setting of the optimizer, or of the run's schedule.
        value: The new value.
    """

    step: int
    lane: int | None
    setting: str
    value: Any

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def key(self) -> str:
        """``120:2:tau``, what stands before the value."""
        lane = "" if self.lane is None else f"{self.lane}:"
        return f"{self.step}:{lane}{self.setting}"


def from_json(data: Any) -> Edit:
    """The edit of :meth:`Edit.to_json`, not yet checked.

    Raises:
        FieldError: It is something else.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("setting"), str):
        raise FieldError("edit", str(data), "an object with step, lane, setting and value")
    step: Any = data.get("step")
    return Edit(step, data.get("lane"), data["setting"], data.get("value"))


def read(text: str, name: str = "edit") -> Edit:
    """Read ``STEP:SETTING=VALUE`` or ``STEP:LANE:SETTING=VALUE``; the value stays a text until it is checked.

    Args:
        text: The text.
        name: What the text is called where it was given.

    Raises:
        FieldError: It has another form.
    """
    found = _FORM.fullmatch(text)
    if found is None or len(found[1]) > 12:
        allowed = "STEP:SETTING=VALUE, or STEP:LANE:SETTING=VALUE for one lane, for example 120:tau=0.5"
        raise FieldError(name, text or "''", allowed)
    return Edit(int(found[1]), int(found[2]) if found[2] else None, found[3], found[4].strip())


def written(edit: Edit, lanes: Sequence[LaneConfig]) -> str:
    """What :func:`read` and :func:`check` give the edit back from."""
    owners = concerned(edit, lanes)
    fields = _fields(lanes[owners[0] - 1]) if owners else _RUN
    return f"{edit.key}={fields[edit.setting].format(edit.value)}"


def of_lane(lanes: Sequence[LaneConfig], edits: Iterable[Edit], number: int) -> tuple[Edit, ...]:
    """The edits that act in one lane, those of its parents before it began included, by step.

    Args:
        lanes: All lanes.
        edits: All edits; of one step and setting the last holds.
        number: Of the lane, counted from 1.
    """
    lane, edits = lanes[number - 1], tuple(edits)
    inherited: tuple[Edit, ...] = ()
    begins = 0
    if lane.parent is not None:
        begins = lane.parent.step
        inherited = tuple(edit for edit in of_lane(lanes, edits, lane.parent.lane) if edit.step <= begins)
    known = _fields(lane)
    own = [edit for edit in edits if edit.step > begins and edit.lane in (None, number) and edit.setting in known]
    return inherited + tuple(sorted(own, key=lambda edit: edit.step))


def in_force(settings: Mapping[str, Any], edits: Iterable[Edit], step: int) -> dict[str, Any]:
    """Settings with the edits up to a step, that step's included; edits of settings that are not theirs are left out.

    Args:
        settings: What the run began with.
        edits: Of one lane, by step.
        step: The step.
    """
    now = dict(settings)
    now.update({edit.setting: edit.value for edit in edits if edit.step <= step and edit.setting in now})
    return now


def check(
    lanes: Sequence[LaneConfig], run_settings: Mapping[str, Any], edits: Iterable[Edit]
) -> tuple[tuple[Edit, ...], list[FieldError]]:
    """The edits with typed values, and everything that was refused. Edits of one step are judged together.

    Args:
        lanes: All lanes, with the settings that they begin with.
        run_settings: Those of the run.
        edits: As they were read.
    """
    errors: list[FieldError] = []
    kept: list[Edit] = []
    for edit in edits:
        try:
            typed = _typed(edit, lanes, run_settings)
        except FieldError as error:
            errors.append(error)
            continue
        kept = [other for other in kept if other.key != typed.key] + [typed]
    if len(kept) > MAXIMUM_EDITS:
        errors.append(FieldError("edit", f"{len(kept):,} edits", f"at most {MAXIMUM_EDITS:,}; the first are kept"))
        kept = kept[:MAXIMUM_EDITS]
    while (misfit := _misfit(lanes, kept)) is not None:
        wrong, error = misfit
        errors.append(error)
        kept = [edit for edit in kept if edit not in wrong]
    return tuple(kept), errors


def _typed(edit: Edit, lanes: Sequence[LaneConfig], run_settings: Mapping[str, Any]) -> Edit:
    step, number = edit.step, edit.lane
    last = run_settings["steps"]
    if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= last:
        raise FieldError("edit", str(step), f"of a step from 1 to {last:,}, the last of the run")
    if number is not None and (
        not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= len(lanes)
    ):
        allowed = f"of a lane from 1 to {len(lanes)}, or of all, as in {step}:{edit.setting}=..."
        raise FieldError(f"edit {edit.key}", str(edit.value), allowed)
    owners = concerned(edit, lanes)
    if not owners:
        numbers = range(1, len(lanes) + 1) if number is None else [number]
        known = dict.fromkeys(name for i in numbers for name, field in _fields(lanes[i - 1]).items() if field.editable)
        unknown = unknown_key(edit.setting, known)
        raise FieldError(f"edit {edit.key}", str(unknown.value), unknown.allowed)
    if number is not None and (parent := lanes[number - 1].parent) is not None and step <= parent.step:
        allowed = f"of a step after {parent.step:,}: until then lane {number} is lane {parent.lane}"
        raise FieldError(f"edit {edit.key}", str(edit.value), allowed)
    value = edit.value
    for i in owners:
        field = _fields(lanes[i - 1])[edit.setting]
        if not field.editable:
            reason = field.fixed or "it makes the run what it is"
            remedy = "choose it for another run"
            raise FieldError(
                f"edit {edit.key}", str(value), f"left out: the setting stays as it is while a run trains, since "
                f"{reason}", remedy,
            )  # fmt: skip
        try:
            value = field.parse(value) if isinstance(value, str) else field.check(value)
        except FieldError as error:
            raise FieldError(f"edit {edit.key}", error.value, error.allowed, error.remedy) from None
        if edit.setting == "grafting" and value == "adam" != lanes[i - 1].settings["grafting"]:
            raise FieldError(
                f"edit {edit.key}", "adam", "none or sgd: its second moment is that of all steps, and lane "
                f"{i} did not keep it", "start a run with grafting = adam, which can go to none or sgd and back",
            )  # fmt: skip
    return replace(edit, value=value)


def _misfit(lanes: Sequence[LaneConfig], edits: Sequence[Edit]) -> tuple[list[Edit], FieldError] | None:
    """The first edits of one step that do not fit together in some lane, and why."""
    for number, lane in enumerate(lanes, 1):
        mine = of_lane(lanes, edits, number)
        for step in sorted({edit.step for edit in mine}):
            now = in_force(lane.settings, mine, step)
            wrong = check_all(lane.spec.all_fields, now, lane.spec.constraints)[1]
            if wrong:
                here = [edit for edit in mine if edit.step == step]
                blamed = next((edit for edit in here if edit.setting == wrong[0].field), here[-1])
                error = FieldError(f"edit {blamed.key}", format_number(blamed.value), _blame(wrong[0], blamed, number))
                return here, error
    return None


def _blame(wrong: FieldError, blamed: Edit, number: int) -> str:
    if wrong.field == blamed.setting:
        return f"{wrong.allowed} in lane {number}"
    return f"a value with which {wrong.field} = {wrong.value} is {wrong.allowed} in lane {number}"


def concerned(edit: Edit, lanes: Sequence[LaneConfig]) -> list[int]:
    """Numbers of the lanes that have the setting, among those that the edit names."""
    numbers = range(1, len(lanes) + 1) if edit.lane is None else [edit.lane]
    return [number for number in numbers if edit.setting in _fields(lanes[number - 1])]


def _fields(lane: LaneConfig) -> dict[str, Field]:
    return {**_RUN, **{field.name: field for field in lane.spec.all_fields}}
