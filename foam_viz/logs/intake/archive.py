"""Unpacking zip and tar archives that strangers made: every member is checked, a bad one costs only itself.

(:mod:`foam_viz.trace.disk.archive` refuses a whole zip for one bad member: right for a bundle that one program wrote,
wrong for a folder that somebody packed.)
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from foam_viz.logs.core import damage
from foam_viz.logs.core.reader import Problem
from foam_viz.logs.intake.limits import MEBIBYTE, Limits

_SLICE = MEBIBYTE
_RATIO_FROM = 16 * MEBIBYTE
_COMPRESSED: tuple[tuple[bytes, str, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", ".gz", gzip.open),
    (b"BZh", ".bz2", bz2.open),
    (b"\xfd7zXZ\0", ".xz", lzma.open),
)
# Zip files that are no archives to their owners: torch's, numpy's, and those of office programs.
_NO_ARCHIVE = re.compile(
    rb"^PK\x03\x04.{26}([^/]{1,200}/(data\.pkl|\.format_version|\.data/)|[^/]{1,200}\.npy)", re.DOTALL
)
_OFFICE = re.compile(rb"^PK\x03\x04.{26}(\[Content_Types\]\.xml|_rels/|mimetype)", re.DOTALL)
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_UNTRUSTED = "unpack it yourself and give the folder, if you trust it"


@dataclass
class Budget:
    """What is left of the limits of one upload."""

    limits: Limits
    bytes_left: int = field(init=False)
    files_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_left, self.files_left = self.limits.unpacked_bytes, self.limits.files


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    refusal: str
    place: str
    open: Callable[[], IO[bytes] | None]


class _HeaderError(tarfile.ReadError):
    """What stands where the header of a member was expected."""

    def __init__(self, words: str, place: str) -> None:
        super().__init__(words)
        self.place = place


class _RefusedError(ValueError):
    """A member that is not unpacked any further."""


def kind(head: bytes) -> str:
    """Say what the first bytes of a file make it: ``zip``, ``tar``, ``compressed`` (perhaps a tar), or nothing."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "" if _NO_ARCHIVE.match(head) or _OFFICE.match(head) else "zip"
    if head[257:262] == b"ustar":
        return "tar"
    return "compressed" if any(head.startswith(magic) for magic, _, _ in _COMPRESSED) else ""


def unpack(
    path: Path, name: str, head: bytes, target: Path, budget: Budget
) -> tuple[list[tuple[str, Path]], list[Problem]]:
    """Unpack an archive, or decompress a single file.

    Args:
        path: The archive.
        name: What the user calls it.
        head: Its first bytes; :func:`kind` recognises them.
        target: A folder of its own for the contents, made when needed.
        budget: Limits of the whole upload; what is unpacked is taken off it.

    Returns:
        Name and place of each file unpacked, and what could not be.
    """
    problems: list[Problem] = []
    found: list[tuple[str, Path]] = []
    try:
        opened = _decompressor(head)
        if opened:
            suffix, opener = opened
            try:
                with opener(path) as stream:
                    start = stream.read(512)
            except _DAMAGE:
                start = damage.of_compressed(path, 0)[1][:512]
            if start[257:262] != b"ustar":
                return _decompress(path, name, suffix, opener, target, budget)
        members = _zip_members if kind(head) == "zip" else _tar_members
        seen: set[str] = set()
        count = 0
        total = 0
        for member in members(path):
            inner = f"{name}/{member.name}"
            count += 1
            if budget.files_left <= 0:
                reason = f"its further members are not read: more than {budget.limits.files:,} files"
                problems.append(Problem(name, "", reason, "give fewer files at a time"))
                break
            if member.refusal or member.name in seen:
                reason = member.refusal or "a second member of this name is not read"
                problems.append(Problem(inner, "", reason, _UNTRUSTED))
                continue
            seen.add(member.name)
            place = target / _on_disk(member.name)
            try:
                total += _extract(member, place, path, total, budget)
            except (*_DAMAGE, _RefusedError) as error:
                with suppress(OSError):
                    place.unlink()
                remedy = _UNTRUSTED if isinstance(error, _RefusedError) else "pack or copy it again"
                reason = (
                    str(error)
                    if isinstance(error, _RefusedError)
                    else f"cannot be unpacked: {_words(error)}, {member.place}"
                )
                problems.append(Problem(inner, "", reason, remedy))
                continue
            budget.files_left -= 1
            found.append((inner, place))
        if not count:
            problems.append(Problem(name, "", "is an archive with no file in it", "pack the files again"))
    except _DAMAGE as error:
        where, reason = _where(path, head, error)
        reason = f"is a damaged or incomplete archive: {reason}"
        problems.append(Problem(name, where, reason, "copy it again; what could be unpacked is read"))
    return found, problems


def _where(path: Path, head: bytes, error: BaseException) -> tuple[str, str]:
    """Place and reason of the damage to an archive as a whole."""
    if kind(head) == "zip":
        return damage.of_zip(path)
    if kind(head) == "compressed":
        byte, _, reason = damage.of_compressed(path, 0)
        if reason:
            return f"byte {byte:,}", reason
    return getattr(error, "place", ""), _words(error)


def _decompressor(head: bytes) -> tuple[str, Callable[..., IO[bytes]]] | None:
    return next(((suffix, opener) for magic, suffix, opener in _COMPRESSED if head.startswith(magic)), None)


def _decompress(
    path: Path, name: str, suffix: str, opener: Callable[..., IO[bytes]], target: Path, budget: Budget
) -> tuple[list[tuple[str, Path]], list[Problem]]:
    """One compressed file; of a truncated one, as a live run leaves it, what is there."""
    inner = name.removesuffix(suffix)
    place = target / _on_disk(inner.rpartition("/")[2])
    place.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    try:
        with opener(path) as stream, open(place, "xb") as out:
            _copy(stream, out, path, 0, budget)
    except _RefusedError as error:
        place.unlink()
        return [], [Problem(name, "", str(error), _UNTRUSTED)]
    except _DAMAGE as error:
        size = place.stat().st_size
        byte, rest, reason = damage.of_compressed(path, size)
        rest = rest[: budget.bytes_left]
        budget.bytes_left -= len(rest)
        with open(place, "ab") as out:
            out.write(rest)
        size += len(rest)
        reason = f"is damaged or cut off after {size:,} unpacked bytes, which are read: {reason or _words(error)}"
        problems.append(Problem(name, f"byte {byte:,} of {path.stat().st_size:,}", reason, "copy it again"))
        if not size:
            place.unlink()
            return [], problems
    budget.files_left -= 1
    return [(inner, place)], problems


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # ZipInfo.filename is cut at NUL and has separators replaced; the name as stored is what counts.
            name = info.orig_filename.replace("\\", "/")
            if info.is_dir() or name.endswith("/"):
                continue
            refusal = _refusal(name)
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                refusal = "is a link or a special file, which is not followed"
            elif info.flag_bits & 0x1:
                refusal = "is encrypted"
            where = f"in its {info.compress_size:,} bytes from byte {info.header_offset:,} of the archive"
            yield _Member(_text(name), info.file_size, refusal, where, lambda info=info: archive.open(info))


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            if info.isdir():
                continue
            refusal = _refusal(info.name)
            if not info.isreg() or info.issparse():
                refusal = "is a link, a device or another special file, which is not followed"
            where = f"in its {info.size:,} bytes from byte {info.offset:,} of the unpacked archive"
            yield _Member(_text(info.name), info.size, refusal, where, lambda info=info: archive.extractfile(info))
        # A header that is none ends the list of members without a word.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        block = archive.fileobj.read(512)
        if block.strip(b"\0"):
            found = f"found {block[:12]!r}" if len(block) == 512 else "and it is cut off inside one"
            raise _HeaderError(
                f"expected the header of a member or the end, {found}",
                f"byte {archive.offset:,} of the unpacked archive",
            )


def _refusal(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        return "leads out of the archive, so it is not unpacked"
    return "has a NUL in its name" if "\0" in name else ""


def _extract(member: _Member, place: Path, archive: Path, before: int, budget: Budget) -> int:
    if member.size > budget.bytes_left:
        raise _RefusedError(_too_much(budget))
    place.parent.mkdir(parents=True, exist_ok=True)
    opened = member.open()
    assert opened is not None, "links and devices were refused"
    with opened as stream, open(place, "xb") as out:
        return _copy(stream, out, archive, before, budget)


def _copy(stream: IO[bytes], out: IO[bytes], archive: Path, before: int, budget: Budget) -> int:
    """Copy within the limits; ``before`` bytes have come out of the archive already. What is refused is given back."""
    packed, size = archive.stat().st_size, 0
    while piece := stream.read(_SLICE):
        size += len(piece)
        budget.bytes_left -= len(piece)
        reason = ""
        if budget.bytes_left < 0:
            reason = _too_much(budget)
        elif before + size > max(_RATIO_FROM, budget.limits.ratio * packed):
            reason = (
                f"unpacks to more than {budget.limits.ratio} times the archive's {packed:,} bytes, as only bombs do"
            )
        if reason:
            budget.bytes_left += size
            raise _RefusedError(reason)
        out.write(piece)
    return size


def _too_much(budget: Budget) -> str:
    limit = budget.limits.unpacked_bytes / MEBIBYTE
    return f"is not unpacked: the contents of all archives would take more than {limit:,.0f} MiB (log_unpacked_mb)"


def _on_disk(name: str) -> Path:
    """The member's own path, for readers that look at neighbours, without what some file system takes amiss."""
    return Path(*(re.sub(r'[<>:"|?*\x00-\x1f\ufffd]', "_", part) for part in PurePosixPath(name).parts))


def _text(name: str) -> str:
    """File names of other encodings come as lone surrogates, which can be written nowhere."""
    return name.encode("utf-8", "replace").decode().removeprefix("./")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
