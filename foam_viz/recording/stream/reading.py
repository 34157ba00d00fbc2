"""Reads the factor stream of a bundle: all of it, or a part at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foam_viz.recording.stream.model import Sample, Spacing
from foam_viz.recording.stream.part import decode, is_part, parts_of, sample_of, spacing_of
from foam_viz.trace.disk.archive import Archive, ArchiveError, open_archive
from foam_viz.trace.disk.bundle import BundleError

DEFAULT_SIZE_LIMIT = 2 * 2**30


@dataclass(frozen=True, eq=False)
class Record:
    """What :func:`read` found.

    Attributes:
        samples: In the order in which they were recorded.
        notes: Parts that could not be read, and why; and that samples were thinned out.
        spacing: Which steps were kept.
    """

    samples: tuple[Sample, ...] | Samples
    notes: tuple[str, ...] = ()
    spacing: Spacing = Spacing()


class Samples:
    """The samples of a stream, read from its parts anew whenever somebody goes through them: only a part is in memory.

    Args:
        parts: Read a part of the stream each, in order.
        spacing: Which steps are given.
    """

    def __init__(self, parts: Sequence[Callable[[], bytes]], spacing: Spacing) -> None:
        self._parts, self._spacing = tuple(parts), spacing

    def __iter__(self) -> Iterator[Sample]:
        for load in self._parts:
            with suppress(ValueError, OSError):  # what cannot be read is in the notes of the record
                for batch in decode(load()).to_batches(max_chunksize=1):
                    (row,) = batch.to_pylist()
                    if self._spacing.stride == 1 or self._spacing.keeps(row["step"]):
                        yield sample_of(row)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def open_large(path: str | os.PathLike[str], *, size_limit: int = DEFAULT_SIZE_LIMIT) -> Record:
    """As :func:`read`, but only a part of the stream is in memory at a time."""
    parts, notes, spacing = _parts(Path(path), size_limit), [], Spacing()
    for name, load in parts:
        try:
            told = spacing_of(decode(load()).schema)
        except (ValueError, OSError) as error:
            notes.append(f"{name} cannot be read, its samples are left out: {error}")
            continue
        if told is not None and told.stride >= spacing.stride:
            spacing = told
    if spacing.stride > 1:
        notes.append(_thinned(spacing))
    return Record(Samples([load for _, load in parts], spacing), tuple(notes), spacing)


def read(path: str | os.PathLike[str], *, size_limit: int = DEFAULT_SIZE_LIMIT) -> Record:
    """Read the factor stream of a bundle; one without a stream gives no samples.

    Args:
        path: The bundle: a directory, or a zip file with the bundle at its top or in a single folder.
        size_limit: Bytes that a zip file may take, unpacked.

    Raises:
        BundleError: There is nothing at the path, or the zip file is refused.
    """
    path = Path(path)
    try:
        return _assemble(_parts(path, size_limit))
    except OSError as error:
        raise _unreadable(path, error) from error


def size_of(path: Path, *, size_limit: int = DEFAULT_SIZE_LIMIT) -> int:
    """Bytes of the stream of a bundle, as it lies in a directory, or unpacked where it is a zip file.

    Raises:
        BundleError: There is nothing at the path, or the zip file is refused.
    """
    if path.is_dir():
        return sum(part.stat().st_size for part in parts_of(path))
    with _opened(path, size_limit) as archive:
        return sum(archive.size(name) for name in archive.names if is_part(name))


def _assemble(parts: Iterable[tuple[str, Callable[[], bytes]]]) -> Record:
    samples, notes, spacing = [], [], Spacing()
    for name, load in parts:
        try:
            rows = decode(load())
            told = spacing_of(rows.schema)
            if told is not None and told.stride >= spacing.stride:
                spacing = told
            samples += [sample_of(row) for row in rows.to_pylist()]
        except ValueError as error:
            notes.append(f"{name} cannot be read, its samples are left out: {error}")
    if spacing.stride > 1:  # a writer that was killed while it thinned has thinned some parts only
        samples = [sample for sample in samples if spacing.keeps(sample.step)]
        notes.append(_thinned(spacing))
    return Record(tuple(samples), tuple(notes), spacing)


def _thinned(spacing: Spacing) -> str:
    return f"the stream was thinned to stay within its cap: it keeps one check of {spacing.stride}"


def _parts(path: Path, size_limit: int) -> list[tuple[str, Callable[[], bytes]]]:
    """Name and reader of each part of the stream of a bundle, in order."""
    if path.is_dir():
        return [(part.name, part.read_bytes) for part in parts_of(path)]
    with _opened(path, size_limit) as archive:
        names = sorted(name for name in archive.names if is_part(name))
    return [(name, partial(_member, path, name, size_limit)) for name in names]


def _member(path: Path, name: str, size_limit: int) -> bytes:
    with open_archive(path, size_limit) as archive:
        return archive.read(name)


@contextmanager
def _opened(path: Path, size_limit: int) -> Iterator[Archive]:
    try:
        with open_archive(path, size_limit) as archive:
            yield archive
    except ArchiveError as error:
        raise BundleError(path, str(error), "Copy the file again, or raise the size limit if you trust it.") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BundleError:
    return BundleError(path, f"cannot be read: {error.strerror or error}", "Check the path.")
