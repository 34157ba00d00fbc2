"""Regular expressions of users, matched in time linear in the text: none can hold up the reading of logs.

RE2 has no look-around and no references back, which is what makes other engines slow without bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import re2

_MEMORY = 8 * 2**20


class PatternError(ValueError):
    """A pattern that cannot be used; the message says why."""


class Pattern:
    r"""A compiled pattern with named groups, for example ``step (?P<step>\d+): loss (?P<loss>\S+)``.

    Args:
        text: In the syntax of RE2.

    Raises:
        PatternError: It cannot be compiled.
    """

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors, options.max_mem = False, _MEMORY
        try:
            # Bytes in and out: RE2 counts in bytes, and counting characters takes three times as long as matching.
            self._compiled = re2.compile(text.encode("utf-8", "replace"), options)
        except re2.error as error:
            raise PatternError(_words(error)) from None
        index = self._compiled.groupindex
        self.groupindex: dict[str, int] = {_text(name): number for name, number in sorted(index.items(), key=_second)}
        self.groups: int = self._compiled.groups

    def search(self, line: str) -> PatternMatch | None:
        """Return the first place that matches, None where nothing does."""
        data = line.encode("utf-8", "replace")
        found = self._compiled.search(data)
        return None if found is None else PatternMatch(self, found, data)

    def finditer(self, line: str) -> Iterator[PatternMatch]:
        """Yield every place that matches, from left to right, none upon another."""
        data = line.encode("utf-8", "replace")
        for found in self._compiled.finditer(data):
            yield PatternMatch(self, found, data)


@dataclass(frozen=True, eq=False)
class PatternMatch:
    """A place in a line that matches, read as a match of the standard library.

    Attributes:
        re: What matched.
    """

    re: Pattern
    _found: Any
    _data: bytes

    def groupdict(self) -> dict[str, str | None]:
        """Return what each named group holds, None where it took no part."""
        values = {name: self._found.group(number) for name, number in self.re.groupindex.items()}
        return {name: None if value is None else _text(value) for name, value in values.items()}

    def start(self, group: int = 0) -> int:
        """Return where a group begins, in characters; -1 where it took no part."""
        return self._characters(self._found.start(group))

    def end(self, group: int = 0) -> int:
        """Return where a group ends, in characters; -1 where it took no part."""
        return self._characters(self._found.end(group))

    def span(self, group: int = 0) -> tuple[int, int]:
        """Return where a group begins and ends."""
        return self.start(group), self.end(group)

    def _characters(self, place: int) -> int:
        return place if place < 0 else len(_text(self._data[:place]))


def _second(item: tuple[Any, int]) -> int:
    return item[1]


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _words(error: Exception) -> str:
    reason = _text(error.args[0]) if error.args else ""
    if reason.startswith("invalid perl operator: (?"):
        return f"{reason.removeprefix('invalid perl operator: ')!r}: looking ahead or behind is not supported"
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        return f"{reason.removeprefix('invalid escape sequence: ')!r}: a reference back to a group is not supported"
    return reason[:200] or "it is too large"
