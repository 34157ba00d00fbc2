"""Reading zip files that strangers made: into memory, never onto the disk, and never more than a limit."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

_MOST_MEMBERS = 100_000
_SLICE = 2**20


class ArchiveError(ValueError):
    """A zip file that is refused as a whole, or a member of it that cannot be read."""


class Archive:
    """The files of a zip by name, checked before anything is read.

    Refused: names that leave the archive (absolute, ``..``, drive letters, backslashes), links and other special files,
    two members of one name, encrypted members, more than 100,000 members, and more bytes than the limit, as declared
    and as they really come.
    """

    def __init__(self, file: zipfile.ZipFile, size_limit: int) -> None:
        self._file = file
        self._left = size_limit
        self._limit = size_limit
        self._members: dict[str, zipfile.ZipInfo] = {}
        members = file.infolist()
        if len(members) > _MOST_MEMBERS:
            raise ArchiveError(f"it has {len(members):,} members, more than {_MOST_MEMBERS:,}")
        for member in members:
            _check(member)
            if member.is_dir():
                continue
            if member.filename in self._members:
                raise ArchiveError(f"two members are called {member.filename!r}")
            self._members[member.filename] = member
        if sum(member.file_size for member in self._members.values()) > size_limit:
            raise ArchiveError(f"its contents take more than the {size_limit:,} bytes allowed")

    @property
    def names(self) -> list[str]:
        """Names of the files, folders left out."""
        return list(self._members)

    def size(self, name: str) -> int:
        """Bytes of one of the files, unpacked, as the archive declares them."""
        return self._members[name].file_size

    def read(self, name: str) -> bytes:
        """Return the content of one file.

        Raises:
            ArchiveError: The member is damaged or missing, or the limit on all reads together is passed.
        """
        pieces = []
        try:
            with self._file.open(self._members[name]) as stream:
                while piece := stream.read(min(_SLICE, self._left + 1)):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise ArchiveError(f"its contents take more than the {self._limit:,} bytes allowed")
                    pieces.append(piece)
        except ArchiveError:
            raise
        except (
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise ArchiveError(f"{name} cannot be read: {error}") from error
        return b"".join(pieces)


@contextmanager
def open_archive(path: Path, size_limit: int) -> Iterator[Archive]:
    """Open a zip file for reading.

    Raises:
        ArchiveError: It is not a whole zip file, or it is refused; see :class:`Archive`.
        OSError: The file cannot be opened.
    """
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise ArchiveError(f"not a whole zip file: {error}") from error
    with file:
        yield Archive(file, size_limit)


def _check(member: zipfile.ZipInfo) -> None:
    # ZipInfo.filename is cut at NUL and has the platform's separators replaced; the name as stored is what counts.
    name = member.orig_filename
    path = PurePosixPath(name)
    if not name or "\\" in name or "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"the member name {name!r} leads out of the archive")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"the member {name!r} is a link or a special file")
    if member.flag_bits & 0x1:
        raise ArchiveError(f"the member {name!r} is encrypted")
