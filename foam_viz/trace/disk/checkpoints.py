"""Checkpoints: files with the state of a run from which training can go on.

``checkpoints/step-<step>-<part>-<checksum>.pt``: the last optimizer step in the state, the number of the next part of
the table of steps, and the CRC-32 of the content in hexadecimal. A name without part and checksum is of an earlier
version.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from foam_viz.trace.disk.branches import Cut, parse_branches, parse_rewind
from foam_viz.trace.disk.parts import BRANCHES_NAME, CHECKPOINTS_FOLDER, REWIND_NAME, write_atomically

_NAME = re.compile(r"step-(\d{12})(?:-(\d{8})-([0-9a-f]{8}))?\.pt")
_SLICE = 2**24


class CheckpointError(ValueError):
    """A checkpoint whose bytes are not those that were written."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint by its name.

    Attributes:
        path: The file.
        step: The last optimizer step in it.
        part: The number of the next part of the table of steps when it was written; 0 where the name has none.
        checksum: The CRC-32 of its content; None where the name has none.
    """

    path: Path
    step: int
    part: int = 0
    checksum: int | None = None

    def counts(self, cuts: Sequence[Cut]) -> bool:
        """Whether the state lies on the newest branch."""
        return all(self.step <= cut.step or self.part > cut.before.get("steps", 0) for cut in cuts)

    def verify(self) -> None:
        """Compare the content with the checksum.

        Raises:
            CheckpointError: They differ.
            OSError: The file cannot be read.
        """
        if self.checksum is None:
            return
        found = 0
        with open(self.path, "rb") as file:
            while piece := file.read(_SLICE):
                found = zlib.crc32(piece, found)
        if found != self.checksum:
            raise CheckpointError(f"{self.path.name} is damaged: its checksum is {found:08x}")


def write(directory: Path, state: bytes | memoryview, step: int, part: int) -> Checkpoint:
    """Write a checkpoint, durable and whole or not at all.

    Raises:
        OSError: Writing failed.
    """
    checksum = zlib.crc32(state)
    path = directory / CHECKPOINTS_FOLDER / f"step-{step:012d}-{part:08d}-{checksum:08x}.pt"
    write_atomically(path, state, durable=True)
    return Checkpoint(path, step, part, checksum)


def found(directory: str | os.PathLike[str]) -> list[Checkpoint]:
    """Return every checkpoint of a bundle directory, newest first; not all need lie on the newest branch."""
    folder = Path(directory) / CHECKPOINTS_FOLDER
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = [(folder / name, match) for name in names if (match := _NAME.fullmatch(name))]
    return sorted(
        (
            Checkpoint(path, int(match[1]), int(match[2] or 0), int(match[3], 16) if match[3] else None)
            for path, match in matches
        ),
        key=lambda checkpoint: (checkpoint.step, checkpoint.part),
        reverse=True,
    )


def usable(directory: str | os.PathLike[str]) -> list[Checkpoint]:
    """Return the checkpoints on the newest branch, newest first. Nothing is written.

    Raises:
        ValueError: A file that says where branches begin is damaged.
        OSError: The directory cannot be read.
    """
    cuts: list[Cut] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        cuts += parse_branches((Path(directory) / BRANCHES_NAME).read_bytes())
    with suppress(FileNotFoundError, NotADirectoryError):
        cuts.append(parse_rewind((Path(directory) / REWIND_NAME).read_bytes()))
    return [checkpoint for checkpoint in found(directory) if checkpoint.counts(cuts)]
