"""The runs that a browser has made, as they lie on the disk: found again, renamed, deleted. Imports no torch.

``<data>/runs/<view id>/control.json`` says who steers a run and what it is called;
``<data>/owners/<fingerprint>/<view id>`` is an empty file for each run of a browser, so that a list of one browser's
runs need not look through those of all.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from foam_viz.engine import store
from foam_viz.engine.server.data_folder import weigh
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment import config
from foam_viz.experiment.config import Experiment
from foam_viz.trace.disk.parts import TABLES_FOLDER, parse_name

MAXIMUM_NAME = 80


@dataclass(frozen=True)
class SavedRun:
    """A run on the disk.

    Attributes:
        view_id: Who knows it may watch.
        experiment: What is trained.
        device: What it was asked to train on.
        key_fingerprint: Of its control key.
        owner: Fingerprint of the browser that made it; empty where none is known.
        name: What its owner calls it; empty for none.
        created: When it was made, in ISO 8601; empty where that is not known.
        successor: View id of the run that its owner began in its place; empty while there is none.
    """

    view_id: str
    experiment: Experiment
    device: str
    key_fingerprint: str
    owner: str
    name: str
    created: str
    successor: str = ""


@dataclass(frozen=True)
class YourRun:
    """A run in the list of its owner.

    Attributes:
        saved: The run.
        step: The last step that is saved.
        size: On the disk, in bytes.
        changed: When a file of it was written last, in seconds since 1970.
    """

    saved: SavedRun
    step: int
    size: int
    changed: float

    @property
    def name(self) -> str:
        """What it is called: its name, else its optimizers."""
        return self.saved.name or " · ".join(self.saved.experiment.labels())


class History:
    """The saved runs of a data directory.

    Args:
        data_directory: Of the installation.
        hold: Called before something is written; raises OSError where this server must not.
    """

    def __init__(self, data_directory: Path, hold: Callable[[], None]) -> None:
        self._root, self._hold = data_directory, hold
        self._owners = data_directory / "owners"

    def note(self, run: LabRun) -> None:
        """Writes down whose a new run is. Where nothing can be written, the engine says that autosave is off."""
        control = {
            "key_sha256": run.key_fingerprint,
            "device": run.device,
            "owner_sha256": run.owner,
            "name": run.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with suppress(OSError):
            self._hold()
            folder = self._folder(run.view_id)
            folder.mkdir(parents=True, exist_ok=True)
            store.write_json(folder / store.CONTROL, control)
            mark = self._owners / run.owner / run.view_id
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def note_missing(self, runs: Iterable[LabRun]) -> None:
        """Writes down whose runs are that were made while nothing could be written, or whose folders were deleted."""
        for run in runs:
            if not (self._folder(run.view_id) / store.CONTROL).exists():
                self.note(run)

    def find(self, view_id: str) -> SavedRun | None:
        """A saved run; None where there is none, or none that can be read."""
        folder = self._folder(view_id)
        experiment, control = store.read_json(folder / store.EXPERIMENT), store.read_json(folder / store.CONTROL)
        if experiment is None or control is None:
            return None
        try:
            return SavedRun(
                view_id,
                config.from_json(experiment),
                _text(control, "device") or "auto",
                control["key_sha256"],
                _text(control, "owner_sha256"),
                _text(control, "name"),
                _text(control, "created"),
                _text(control, "successor"),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def of(self, owner: str) -> list[YourRun]:
        """The runs of a browser in which a step was made, those that changed last first.

        Args:
            owner: Fingerprint of the browser.
        """
        found = []
        for view_id in self._marks(owner):
            saved = self.find(view_id)
            if saved is None:
                if not self._folder(view_id).exists():
                    self.forget(owner, view_id)
            elif saved.owner == owner and (step := last_step(self._folder(view_id))):
                changed, size = weigh(self._folder(view_id))
                found.append(YourRun(saved, step, size, changed))
        return sorted(found, key=lambda run: run.changed, reverse=True)

    def rename(self, view_id: str, name: str) -> str:
        """Gives a run another name, and returns it as it is kept: one line, of 80 characters at most.

        Raises:
            OSError: Nothing can be written.
        """
        kept = " ".join(name.split())[:MAXIMUM_NAME]
        self._change(view_id, name=kept)
        return kept

    def succeed(self, view_id: str, successor: str) -> None:
        """Writes down which run was begun in the place of another, where that one is saved."""
        with suppress(OSError):
            self._change(view_id, successor=successor)

    def _change(self, view_id: str, **values: str) -> None:
        self._hold()
        path = self._folder(view_id) / store.CONTROL
        if (known := store.read_json(path)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        store.write_json(path, {**known, **values})

    def forget(self, owner: str, view_id: str) -> None:
        """Takes a run from the list of its owner."""
        with suppress(OSError):
            self._hold()
            (self._owners / owner / view_id).unlink()

    def _marks(self, owner: str) -> list[str]:
        try:
            return [name for name in os.listdir(self._owners / owner) if store.is_identity(name)]
        except OSError:
            return []

    def _folder(self, view_id: str) -> Path:
        return store.run_directory(self._root, view_id)


def last_step(folder: Path) -> int:
    """The last step that is saved of a run, over all lanes; 0 where there is none. Reads one part a lane."""
    return max((_last_of_lane(lane / TABLES_FOLDER) for lane in folder.glob("lane-*")), default=0)


def _last_of_lane(tables: Path) -> int:
    parts = [part for path in tables.glob("steps.*") if (part := parse_name(path.name)) is not None]
    for part in sorted(parts, key=lambda part: (part.last, part.width), reverse=True):
        # A part may be merged away meanwhile, or be torn.
        with suppress(OSError, pa.ArrowException, KeyError, IndexError), pa.memory_map(str(tables / part.name)) as file:
            return int(pa.ipc.open_file(file).read_all()["step"][-1].as_py())
    return 0


def _text(control: Mapping[str, Any], name: str) -> str:
    value = control.get(name)
    return value if isinstance(value, str) else ""
