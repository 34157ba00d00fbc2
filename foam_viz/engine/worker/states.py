"""The state of a run's lanes as bytes and back: what a checkpoint holds, and which one a run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from foam_viz.experiment.config import Parent
from foam_viz.trace.disk import checkpoints
from foam_viz.trace.disk.branches import parse_branches
from foam_viz.trace.disk.checkpoints import Checkpoint
from foam_viz.trace.disk.parts import BRANCHES_NAME, TABLES_FOLDER, parse_name


@dataclass(frozen=True)
class Restored:
    """Where a run goes on.

    Attributes:
        step: The newest step at which every lane has a checkpoint that can be read; 0 without one.
        states: One a lane; none at step 0.
        message: What the page must say; empty where the run goes on from its newest checkpoint.
    """

    step: int
    states: Sequence[Mapping[str, Any]]
    message: str


class Interrupted(Exception):
    """A copy was given up, as something more urgent came."""


def copied(value: Any, interrupted: Callable[[], bool]) -> Any:
    """A state whose tensors are copies on the host: training may go on while it is written.

    Args:
        value: The state.
        interrupted: Asked before each tensor; a copy takes milliseconds, that of all tensors may take a second.

    Raises:
        Interrupted: ``interrupted`` said so.
    """
    if isinstance(value, torch.Tensor):
        if interrupted():
            raise Interrupted
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied(item, interrupted) for key, item in value.items()}
    return type(value)(copied(item, interrupted) for item in value) if isinstance(value, list | tuple) else value


def write(state: Mapping[str, Any], file: BinaryIO) -> None:
    """Writes a state as the content of a checkpoint."""
    torch.save(state, file)


def size(value: object) -> int:
    """Bytes of the tensors in a state."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(size, value.values()))
    return sum(map(size, value)) if isinstance(value, list | tuple) else 0


def newest(lanes: Sequence[Path], parents: Sequence[Parent | None] = ()) -> Restored:
    """Reads the newest states that all lanes have in common. Nothing is written.

    Args:
        lanes: The bundle directory of each lane.
        parents: Of each lane, where some have one.
    """
    saved = [_with_past(lanes, parents, lane) for lane in range(len(lanes))]
    damaged: list[str] = []
    for step in sorted(set.intersection(*({found.step for found in lane} for lane in saved)), reverse=True):
        states = []
        for lane, found in enumerate(saved, 1):
            state = _first_readable([checkpoint for checkpoint in found if checkpoint.step == step], lane, damaged)
            if state is None:
                break
            states.append(state)
        else:
            return Restored(step, states, _message(step, damaged, lanes) if _incomplete(saved, step) else "")
    return Restored(0, (), _message(0, damaged, lanes) if any(map(_has_rows, lanes)) else "")


def at_most(lanes: Sequence[Path], parents: Sequence[Parent | None], lane: int, step: int) -> Mapping[str, Any] | None:
    """The newest state of a lane, counted from 0, up to a step; None where none can be read."""
    for checkpoint in _with_past(lanes, parents, lane):
        if checkpoint.step <= step and (state := _first_readable([checkpoint], lane + 1, [])) is not None:
            return state
    return None


def _with_past(lanes: Sequence[Path], parents: Sequence[Parent | None], lane: int) -> list[Checkpoint]:
    """The checkpoints of a lane, newest first; those of its parent up to the step that both share are its own, too."""
    found = _usable(lanes[lane])
    parent = parents[lane] if lane < len(parents) else None
    if parent is not None:
        past = _with_past(lanes, parents, parent.lane - 1)
        found += [checkpoint for checkpoint in past if checkpoint.step <= parent.step]
    return sorted(found, key=lambda checkpoint: checkpoint.step, reverse=True)


def _usable(lane: Path) -> list[Checkpoint]:
    try:
        return checkpoints.usable(lane)
    except (OSError, ValueError):
        return []


def _first_readable(found: Sequence[Checkpoint], lane: int, damaged: list[str]) -> Mapping[str, Any] | None:
    for checkpoint in found:
        try:
            checkpoint.verify()
            return torch.load(checkpoint.path, weights_only=True, map_location="cpu")
        except Exception as error:  # noqa: BLE001 (a torn file may raise anything)
            damaged.append(f"lane {lane}, step {checkpoint.step:,}: {type(error).__name__}")
    return None


def _incomplete(saved: Sequence[Sequence[Checkpoint]], step: int) -> bool:
    """Whether some lane has a later checkpoint than the one that is used."""
    return any(found.step > step for lane in saved for found in lane)


def _message(step: int, damaged: Sequence[str], lanes: Sequence[Path]) -> str:
    cause = f" ({'; '.join(damaged)})" if damaged else ""
    # The data directory is the server's own affair: the command is for whoever sits there.
    by_branch: dict[int, list[str]] = {}
    for lane in filter(_has_rows, lanes):
        by_branch.setdefault(_branch(lane), []).append("/".join(("runs", *lane.parts[-2:])))
    shown = " and ".join(
        f"`python -m foam_viz inspect {' '.join(folders)} --branch {branch}`" for branch, folders in by_branch.items()
    )
    return (
        f"Not every lane has a later checkpoint that can be read{cause}: training goes on from step {step:,}. The rows "
        f"saved beyond it stay on the disk, in an earlier branch of the run: {shown}, in the data directory of the "
        "server, shows them."
    )


def _branch(lane: Path) -> int:
    """The number of the branch that is the newest now."""
    try:
        return len(parse_branches((lane / BRANCHES_NAME).read_bytes()))
    except (OSError, ValueError):
        return 0


def _has_rows(lane: Path) -> bool:
    try:
        return any(parse_name(path.name) for path in (lane / TABLES_FOLDER).iterdir())
    except OSError:
        return False
