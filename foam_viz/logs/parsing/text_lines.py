"""Text of logs: bytes to characters, characters to lines, without what terminals and loggers add."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from foam_viz.logs.core.reader import LogFile

LONGEST_LINE = 10_000
"""Characters. A regular expression may take time quadratic in the line, so longer lines are passed over."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before utf-16: its mark begins like that of utf-16-le
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BACKSPACES = re.compile("\b+\r?")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def decode(data: bytes) -> tuple[str, list[str]]:
    """Return the text of a file and notes on what was assumed or repaired to get it; never fails.

    A byte-order mark decides; without one, zero bytes at every other place mean utf-16, and what is not valid utf-8 is
    taken for latin-1. Zero bytes that remain, which a power cut leaves at the end of a file, are dropped.
    """
    notes: list[str] = []
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, errors="replace")
            if encoding != "utf-8":
                notes.append(f"The file is encoded in {encoding}.")
            break
    else:
        text = _unmarked(data, notes)
    if "\0" in text:
        notes.append(f"{text.count(chr(0)):,} zero bytes were dropped; a crash may leave them.")
        text = text.replace("\0", "")
    return text, notes


def _unmarked(data: bytes, notes: list[str]) -> str:
    head = data[:4096]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        places = head[start::2]
        if len(places) >= 4 and places.count(0) > 0.9 * len(places) and head[1 - start :: 2].count(0) == 0:
            notes.append(f"The file is encoded in {encoding}.")
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4 and error.reason == "unexpected end of data":
            notes.append("The last character of the file is cut off and was dropped.")
            return data[: error.start].decode("utf-8")
        notes.append(f"The file is not valid utf-8 (byte {error.start:,}); it was read as latin-1.")
        return data.decode("latin-1")


_USUAL = dict.fromkeys(map(ord, "\t\r\n\f\x1b\b\u00a0\u2009\u202f"))


@lru_cache(maxsize=256)  # every reader of text asks for every file
def looks_like_text(head: bytes) -> bool:
    """Say whether the first bytes of a file can be those of a text file."""
    sample = decode(head[:16384])[0][:4096] if head else ""
    rest = sample.translate(_USUAL)
    if rest.isprintable():
        return bool(sample)
    return sum(not c.isprintable() for c in rest) <= 0.02 * len(sample)


@dataclass
class LogText:
    """The lines of a text log.

    Attributes:
        text: All of it.
        notes: What was assumed or repaired to decode it.
        too_long: Numbers of lines passed over by :meth:`lines` as longer than :data:`LONGEST_LINE`.
    """

    text: str
    notes: list[str] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, file: LogFile) -> LogText:
        """Read a file."""
        return cls(*decode(file.path.read_bytes()))

    @classmethod
    def of_head(cls, file: LogFile) -> LogText:
        """Take the first bytes of a file only, without its last line when that may be cut."""
        text, notes = decode(file.head)
        if file.size > len(file.head):
            text = text[: text.rfind("\n") + 1] or text
        return cls(text, notes)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield line numbers from 1 and lines without colours; a progress bar's redrawn states are lines each."""
        self.too_long.clear()
        for number, line in enumerate(self.text.split("\n"), start=1):
            if "\b" in line:  # Keras goes back over its bar
                line = _BACKSPACES.sub("\r", line)
            pieces = line.split("\r") if "\r" in line else (line,)
            for piece in pieces:
                if len(piece) > LONGEST_LINE:
                    self.too_long.append(number)
                elif piece:
                    yield number, _ANSI.sub("", piece) if "\x1b" in piece else piece

    def length_notes(self) -> list[str]:
        """Say which lines were passed over for their length in the last :meth:`lines`."""
        if not self.too_long:
            return []
        where = f"the first is line {self.too_long[0]:,}"
        return [f"{were(len(self.too_long), 'line')} passed over as longer than {LONGEST_LINE:,} characters; {where}."]


def counted(number: int, noun: str) -> str:
    """Return ``"1 row"`` or ``"3 rows"``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def were(number: int, noun: str) -> str:
    """Return ``"1 row was"`` or ``"3 rows were"``."""
    return f"{counted(number, noun)} {'was' if number == 1 else 'were'}"
