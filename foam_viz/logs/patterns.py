"""Regular expressions of users, matched in time linear in the text: none can hold up the reading of logs.

RE2 has no look-around and no references back, which is what makes other engines slow without bound.
"""

from __future__ import annotations

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
        self.names: tuple[str, ...] = tuple(_text(name) for name in sorted(index, key=index.get))

    def search(self, line: str) -> dict[str, str] | None:
        """Return what each named group holds at the first place that matches, None where nothing does."""
        found = self._compiled.search(line.encode("utf-8", "replace"))
        if found is None:
            return None
        values = {_text(name): value for name, value in found.groupdict().items()}
        return {name: _text(values[name]).strip() for name in self.names if values[name] is not None}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _words(error: Exception) -> str:
    reason = _text(error.args[0]) if error.args else ""
    if reason.startswith("invalid perl operator: (?"):
        return f"{reason.removeprefix('invalid perl operator: ')!r}: looking ahead or behind is not supported"
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        return f"{reason.removeprefix('invalid escape sequence: ')!r}: a reference back to a group is not supported"
    return reason[:200] or "it is too large"
