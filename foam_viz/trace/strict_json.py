"""JSON as the standard has it: no NaN, no Infinity.

Python writes and reads the bare words ``NaN`` and ``Infinity``, which other readers refuse. A trace writes null for
them in JSON and keeps them only in its tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np


def plain(value: object) -> object:
    """Return ``value`` built of dict, list, str, int, float, bool and None only, with NaN and inf as None.

    Numpy scalars and arrays become numbers and lists; mapping keys become text.

    Raises:
        TypeError: The value, or a part of it, has no place in JSON.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r:.80}")


def dumps(value: object, *, indent: int | None = 2) -> str:
    """Return strict JSON text of :func:`plain` ``(value)``, in UTF-8-ready characters."""
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def loads(text: str | bytes) -> object:
    """Parse strict JSON.

    Raises:
        ValueError: The text is not JSON, or holds a bare NaN or Infinity.
    """

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not strict JSON")

    return json.loads(text, parse_constant=refuse)
