"""Files that a page takes to train on: kept, and looked into by a process under limits of time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foam_viz.engine import children, store
from foam_viz.optim.fields import FieldError
from foam_viz.tasks import uploads

MOST_BYTES = 20_000_000
"""Of one file; what tasks read is no larger."""
_SECONDS = 30.0
_MEMORY = 2**30


@dataclass(frozen=True)
class TaskFile:
    """A file that a task can be trained on.

    Attributes:
        value: What names it in settings.
        name: As the browser called it.
        found: What is in it, see :mod:`foam_viz.tasks.preview`.
    """

    value: str
    name: str
    found: dict[str, Any]

    @property
    def names(self) -> Sequence[str]:
        """The columns of a table; none of a text."""
        return self.found.get("names", ())


def take(folder: Path, field: str, name: str, content: bytes, hold: Callable[[], None]) -> TaskFile:
    """Keep a file, and look into it.

    Args:
        folder: Where uploads are kept.
        field: The setting that will name it: ``table`` or ``text``.
        name: As the browser called it; only for messages.
        content: Its bytes.
        hold: Called before it is written; raises OSError where this server must not.

    Raises:
        FieldError: It is too large or cannot be used; it says where and what would help. Nothing is kept then.
    """
    if len(content) > MOST_BYTES:
        allowed = f"a file of at most {MOST_BYTES // 1_000_000} MB, this one has {len(content) / 1e6:,.1f}: cut it"
        raise FieldError(field, name, allowed)
    try:
        hold()
        value = uploads.keep(folder, content)
    except OSError as error:
        raise FieldError(field, name, "a file that can be kept", store.unwritable(error)) from None
    try:
        return TaskFile(value, name, look(folder, field, value, name))
    except FieldError:
        (folder / value.removeprefix(uploads.PREFIX)).unlink(missing_ok=True)
        raise


def look(folder: Path, field: str, value: str, name: str = "") -> dict[str, Any]:
    """What is in an upload.

    Raises:
        FieldError: It is not here, or cannot be used.
    """
    shown = name or value
    path = folder / value.removeprefix(uploads.PREFIX)
    if not uploads.is_upload(value) or not path.is_file():
        raise FieldError(field, shown, "a file that is on this server; this one is not, or no longer: upload it again")
    asked = {"field": field, "path": str(path), "memory": _MEMORY}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "foam_viz.tasks.preview"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=_SECONDS,
            env=children.environment(),
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise FieldError(field, shown, f"a file that can be read within {_SECONDS:.0f} s: cut it") from None
    except ValueError:
        raise FieldError(field, shown, "a file that can be read in 1 GiB of memory: cut it") from None
    if refused := found.get("refused"):
        raise FieldError(field, shown, refused[1])
    return found
