"""Deflated text that is put together without deflating again.

A frame is one zlib stream. What many clients are sent is deflated once and ends on a full byte, so that the stream of
each client is a matter of joining bytes. Formats: RFC 1950 (zlib) and RFC 1951 (deflate).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

_LEVEL = 6
_HEADER = b"\x78\x9c"
_END = b"\x03\x00"
"""A last block without content."""
_BASE = 65521
"""The modulus of Adler-32."""
_STORED = 65535
"""Bytes of one stored block, at most."""


@dataclass(frozen=True)
class Part:
    """A piece of text, deflated.

    Attributes:
        content: Raw deflate blocks that refer to nothing outside of them.
        checksum: Adler-32 of the text.
        length: Of the text, in bytes.
    """

    content: bytes
    checksum: int
    length: int


def deflated(text: bytes) -> Part:
    """Return a text as a part."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = stream.compress(text) + stream.flush(zlib.Z_FULL_FLUSH)
    return Part(content, zlib.adler32(text), len(text))


def stored(text: bytes) -> Part:
    """Return a short text as a part, as it is."""
    blocks = []
    for start in range(0, len(text), _STORED):
        piece = text[start : start + _STORED]
        size = len(piece)
        blocks.append(b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + piece)
    return Part(b"".join(blocks), zlib.adler32(text), len(text))


def joined(parts: Iterable[Part]) -> bytes:
    """Return the zlib stream of several texts, one after the other."""
    content, checksum = [_HEADER], 1
    for part in parts:
        content.append(part.content)
        checksum = _both(checksum, part)
    return b"".join([*content, _END, checksum.to_bytes(4, "big")])


def _both(checksum: int, part: Part) -> int:
    """Adler-32 of a text and another after it, from those of both."""
    first, second = checksum & 0xFFFF, part.checksum & 0xFFFF
    low = (first + second - 1) % _BASE
    high = ((checksum >> 16) + (part.checksum >> 16) + part.length * (first - 1)) % _BASE
    return high << 16 | low
