"""What a replay engine is asked, each a frozen dataclass, and how it travels. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from foam_viz.analysis.replay_setting import Setting


@dataclass(frozen=True)
class Prepare:
    """Make a run ready: read its stream and decompose every recorded factor.

    Attributes:
        path: The run bundle.
    """

    path: str


@dataclass(frozen=True)
class RunSetting:
    """Replay one setting, the run's own where none is given; of settings that wait for one asker the newest counts.

    It is answered before other commands that wait.
    """

    path: str
    setting: Setting | None = None
    updates: bool = False
    asker: str = ""


@dataclass(frozen=True)
class Summarize:
    """The totals of many settings."""

    path: str
    settings: tuple[Setting, ...]
    error_every: int = 1


@dataclass(frozen=True)
class Calibrate:
    """Thresholds suggested from the run's spectra."""

    path: str


@dataclass(frozen=True)
class Stop:
    """Stop preparing a run, or forget it."""

    path: str


Command = Prepare | RunSetting | Summarize | Calibrate | Stop
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Prepare, RunSetting, Summarize, Calibrate, Stop)}


def to_json(command: Command) -> dict[str, Any]:
    """The command as plain values."""
    told = {field.name: getattr(command, field.name) for field in fields(command)}
    if isinstance(command, RunSetting):
        told["setting"] = None if command.setting is None else command.setting.to_json()
    elif isinstance(command, Summarize):
        told["settings"] = [setting.to_json() for setting in command.settings]
    return {"command": type(command).__name__, **told}


def from_json(data: Mapping[str, Any]) -> Command:
    """What ``to_json`` gave.

    Raises:
        KeyError: There is no such command.
        FieldError: A setting is refused.
    """
    told = dict(data)
    kind = _KINDS[told.pop("command")]
    if kind is RunSetting and told["setting"] is not None:
        told["setting"] = Setting.from_json(told["setting"])
    elif kind is Summarize:
        told["settings"] = tuple(map(Setting.from_json, told["settings"]))
    return kind(**told)
