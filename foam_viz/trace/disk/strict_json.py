"""JSON as the standard has it: no NaN, no Infinity.

Python writes and reads the bare words ``NaN`` and ``Infinity``, which other readers refuse. A trace writes null for
them in JSON and keeps them only in its tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

import numpy as np

_DEEPEST = 100
_LONGEST_NUMBER = 300
"""Digits; a longer number would not fit into a double."""
_TOO_LONG = 10 ** (_LONGEST_NUMBER - 1)
_QUOTED = 20
_EXPECTED = {
    "Expecting value": "expected a value",
    "Expecting property name": "expected a name in double quotes",
    "Expecting ':'": "expected ':' behind the name",
    "Expecting ','": "expected ',' or the closing bracket",
    "Illegal trailing comma": "expected no comma before the closing bracket",
    "Unterminated string": "expected the closing quote of the text that begins here",
    "Extra data": "expected the end of the document",
    "Invalid control": "expected no control character inside a text",
    "Invalid \\escape": "expected a known escape behind the backslash",
    "Invalid \\uXXXX": "expected four hexadecimal digits behind \\u",
}


def plain(value: object) -> object:
    """Return ``value`` built of dict, list, str, int, float, bool and None only, with NaN and inf as None.

    Numpy scalars and arrays become numbers and lists; mapping keys become text, and so do whole numbers that
    :func:`loads` would refuse.

    Raises:
        TypeError: The value, or a part of it, has no place in JSON.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, int):
        return digits_of(int(value)) if is_too_long(value) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r:.80}")


def is_too_long(number: int) -> bool:
    """Say whether a whole number has more digits than are read."""
    return abs(number) >= _TOO_LONG


def digits_of(number: int) -> str:
    """Return a whole number as text; in hexadecimal digits where Python refuses to write decimal ones."""
    try:
        return str(number)
    except ValueError:  # more than sys.get_int_max_str_digits()
        return hex(number)


def dumps(value: object, *, indent: int | None = 2) -> str:
    """Return strict JSON text of :func:`plain` ``(value)``, in UTF-8-ready characters."""
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def loads(text: str | bytes) -> object:
    """Parse strict JSON.

    Raises:
        ValueError: The text is not JSON, holds a bare NaN or Infinity, a whole number of more than 300 digits, or is
            nested more than 100 levels deep. The message says where, and quotes what stands there.
    """

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not strict JSON")

    def whole(digits: str) -> int:
        if len(digits) > _LONGEST_NUMBER:
            raise ValueError(f"holds a whole number of {len(digits):,} digits; at most {_LONGEST_NUMBER} are read")
        return int(digits)

    try:
        value = json.loads(text, parse_constant=refuse, parse_int=whole)
    except json.JSONDecodeError as error:
        raise ValueError(": ".join(place_and_reason(error))) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start:,}: no UTF-8") from None
    except RecursionError:
        raise ValueError(f"is nested more than {_DEEPEST} levels deep") from None
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"is nested more than {_DEEPEST} levels deep")


def place_and_reason(error: json.JSONDecodeError) -> tuple[str, str]:
    """Say where JSON goes wrong, and what was expected there and what stands there instead.

    Returns:
        ``"line 3, column 14"`` and ``"expected a value, found 'tru}' (byte 60)"``.
    """
    byte = len(error.doc[: error.pos].encode("utf-8", "replace"))
    place = f"line {error.lineno:,}, column {error.colno:,}"
    rest = error.doc[error.pos :]
    found = "found the end of the text" if not rest.strip() else f"found {rest.lstrip()[:_QUOTED].splitlines()[0]!r}"
    for start, words in _EXPECTED.items():
        if error.msg.startswith(start):
            return place, f"{words}, {found} (byte {byte:,})"
    return place, f"{error.msg[:1].lower()}{error.msg[1:]}, {found} (byte {byte:,})"


def _inside(item: dict | list) -> Iterable[object]:
    return item.values() if isinstance(item, dict) else item
