"""Says what is in a file of one's own before anything trains on it; run as a process of its own. No torch.

``python -m foam_viz.tasks.preview`` reads ``{"field", "path", "memory"}`` as JSON from standard input, and writes
what it found: ``{"names", "rows", "head", "constant"}`` of a table, ``{"characters", "different", "head"}`` of a text,
or ``{"refused": [value, allowed]}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from foam_viz.optim.fields import FieldError
from foam_viz.tasks.files import read_text
from foam_viz.tasks.table import read_table
from foam_viz.tasks.text import LEAST_CONTEXT, require_enough

_ROWS, _LETTERS = 5, 400


def preview(field: str, path: str) -> dict[str, Any]:
    """What a table, or a text, holds.

    Raises:
        FieldError: It cannot be used.
    """
    if field == "text":
        text = read_text(field, path)
        require_enough(path, text, LEAST_CONTEXT)
        return {"characters": len(text), "different": len(set(text)), "head": text[:_LETTERS]}
    names, values = read_table(field, path)
    constant = [name for name, spread in zip(names, np.ptp(values, axis=0), strict=True) if spread == 0]
    if len(constant) == len(names):
        raise FieldError(field, path, "a table whose columns vary; each of its columns holds one number in all rows")
    return {"names": list(names), "rows": len(values), "head": values[:_ROWS].tolist(), "constant": constant}


def _limit(size: int) -> None:
    if sys.platform == "linux":
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (held + size, held + size))


def main() -> None:
    """Answer the request on standard input."""
    asked = json.loads(sys.stdin.buffer.read())
    _limit(asked["memory"])
    try:
        found: dict[str, Any] = preview(asked["field"], asked["path"])
    except FieldError as error:
        found = {"refused": [str(error.value), error.allowed]}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
