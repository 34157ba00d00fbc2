"""The factor stream: chosen factors, and the gradients of their parameters, kept whole under a byte cap.

It is no table of a trace. It lies beside the tables, in ``stream/`` of the bundle's directory, where readers of bundles
pass it over; :func:`read` reads it. See "Factor stream" in ``docs/trace.md``.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.archive import Archive, ArchiveError, open_archive
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.disk.parts import TEMPORARY_SUFFIX, write_atomically

STREAM_FOLDER = "stream"
DEFAULT_SIZE_LIMIT = 2 * 2**30
RUN_BYTES = 64 * 2**20
"""Bytes of numbers that a run of our own keeps at most."""
PART_BYTES = 4 * 2**20
"""So much is gathered before a part is written; a kill loses what is gathered."""

_MOST_MEMBERS = 10_000
_NAME = re.compile(r"stream\.(\d{8})\.arrow")
_ADDED = ("beta", "steps", "dtype", "mirror")  # since the first release
_SPACING = ("every", "stride", "first")
_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("shape", pa.list_(pa.int32()), nullable=False),
        pa.field("root", pa.int32()),
        pa.field("epsilon", pa.float64()),
        pa.field("beta", pa.float64()),
        pa.field("steps", pa.int64()),
        pa.field("dtype", pa.string()),
        pa.field("values", pa.binary(), nullable=False),
        pa.field("mirror", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Spacing:
    """Which steps a stream keeps: of every ``stride`` checks one, and the first, which always decomposes.

    Attributes:
        every: Steps between two samples before any was thinned out: the check period.
        stride: A power of 2; 1 where nothing was thinned out.
        first: The first step; None before any.
    """

    every: int = 1
    stride: int = 1
    first: int | None = None

    def keeps(self, step: int) -> bool:
        """Whether the samples of a step stay."""
        return step == self.first or (step // self.every) % self.stride == 0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Which factors are kept whole, and when.

    Attributes:
        factors: Ids, or patterns with ``*``, of factors: ``"0.block_0.0"``.
        every: Steps between two samples; the check period, or a divisor of it, allows an exact replay.
        byte_cap: Bytes of numbers that are kept at most; before it is passed, every second sample is thinned out.
        gradients: Whether the gradients of the factors' parameters are kept too.
        gradients_every: They are kept with one of so many samples.

    Raises:
        ValueError: A value is outside its range.
    """

    factors: tuple[str, ...]
    every: int = 10
    byte_cap: int = 50_000_000
    gradients: bool = True
    gradients_every: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.factors, str) or not self.factors or not all(isinstance(f, str) for f in self.factors):
            raise ValueError(f"Stream.factors = {self.factors!r}: must be a tuple of factor ids, like ('0.block_0.0',)")
        for name in ("every", "byte_cap", "gradients_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Stream.{name} = {value!r}: must be a whole number from 1")


@dataclass(frozen=True, eq=False)
class Sample:
    """One matrix of the stream.

    Attributes:
        step: Optimizer step; the matrix is that of the end of the step.
        kind: ``"factor"``, the statistics L of a factor (A where ``beta`` is None), or ``"gradient"``, of a whole
            parameter.
        id: Id of the factor, or name of the parameter.
        values: float32 or float64, as the run computes; (n, n) and symmetric for a factor.
        root: p of the factor, where it is known.
        epsilon: Damping in force after the step, gradient^2, where there is one.
        beta: beta2 of L, so that A = L / (1 - beta2^t); 1 where A is L, None where only A is known.
        steps: t, gradients that L has seen.
    """

    step: int
    kind: str
    id: str
    values: np.ndarray
    root: int | None = None
    epsilon: float | None = None
    beta: float | None = None
    steps: int | None = None

    def current(self) -> np.ndarray:
        """A, (n, n), in the dtype of ``values``: L / (1 - beta2^t), divided as the optimizer divides it."""
        if self.beta is None or not self.beta < 1 or not self.steps:
            return self.values
        return self.values / self.values.dtype.type(1 - self.beta**self.steps)


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


class StreamFile:
    """Writes the stream of one run, as its only writer.

    A stream that would pass its cap is thinned: every second check goes, of those that are kept and of those that
    follow, so that it still spans the whole run.

    Args:
        directory: The bundle directory.
        byte_cap: Bytes of numbers at most, those of an earlier writer included.
        after: Samples beyond this step are dropped first; None drops none.
        every: Steps between two samples of a factor: the check period.

    Attributes:
        bytes: Bytes of numbers so far.
        spacing: Which steps are kept.
        full: Whether the samples of one step alone pass the cap; none is taken after.
    """

    def __init__(self, directory: Path, byte_cap: int, after: int | None = None, every: int = 1) -> None:
        self._folder = directory / STREAM_FOLDER
        self._cap = byte_cap
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = self.bytes = self._next = 0
        self.spacing = Spacing(every)
        self.full = False
        self._folder.mkdir(parents=True, exist_ok=True)
        found = []
        for path in sorted(self._folder.iterdir()):
            if path.name.endswith(TEMPORARY_SUFFIX):
                path.unlink()
            elif match := _NAME.fullmatch(path.name):
                self._next = max(self._next, int(match[1]) + 1)
                found.append(path)
        for path in found:
            self._widen(path)
        for path in found:
            self._keep(path, after)

    def _widen(self, path: Path) -> None:
        try:
            told = _spacing(_decode(path.read_bytes()).schema)
        except ValueError:
            return
        if told is not None and told.stride >= self.spacing.stride:
            self.spacing = told

    def _keep(self, path: Path, after: int | None = None) -> None:
        try:
            rows = _decode(path.read_bytes())
        except ValueError:
            return  # torn: the reader reports it
        steps = rows["step"].to_pylist()
        kept = rows.filter(
            pa.array([(after is None or s <= after) and self.spacing.keeps(s) for s in steps], pa.bool_())
        )
        if len(kept) < len(rows) or _spacing(rows.schema) != self.spacing:
            write_atomically(path, _encode(kept, self.spacing), durable=True)
        self.bytes += _size_of(kept["values"]) + _size_of(kept["mirror"])

    def add(self, samples: Iterable[Sample]) -> None:
        """Take the samples of one step, all or none of them.

        Raises:
            OSError: A part could not be written; its samples are kept for the next.
        """
        rows = [_pack(sample) for sample in samples]
        if self.full or not rows:
            return
        step = rows[0]["step"]
        if self.spacing.first is None:
            self.spacing = replace(self.spacing, first=step)
        if not self.spacing.keeps(step):
            return
        size = sum(map(_row_bytes, rows))
        while self.bytes + size > self._cap:
            if self.bytes == 0 or self.spacing.stride > step:
                self.full = True
                return
            self._thin()
            if not self.spacing.keeps(step):
                return
        self._pending += rows
        self._pending_bytes += size
        self.bytes += size
        if self._pending_bytes >= PART_BYTES:
            self.flush()

    def _thin(self) -> None:
        self.spacing = replace(self.spacing, stride=2 * self.spacing.stride)
        self._pending = [row for row in self._pending if self.spacing.keeps(row["step"])]
        self._pending_bytes = self.bytes = sum(map(_row_bytes, self._pending))
        for path in sorted(self._folder.iterdir()):
            if _NAME.fullmatch(path.name):
                self._keep(path)

    def flush(self) -> None:
        """Write what was gathered as one part.

        Raises:
            OSError: It could not be written; the samples are kept for the next part.
        """
        if not self._pending:
            return
        rows = pa.Table.from_pylist(self._pending, schema=_SCHEMA)
        write_atomically(self._folder / f"stream.{self._next:08d}.arrow", _encode(rows, self.spacing), durable=False)
        self._next += 1
        self._pending, self._pending_bytes = [], 0


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
                for batch in _decode(load()).to_batches(max_chunksize=1):
                    (row,) = batch.to_pylist()
                    if self._spacing.stride == 1 or self._spacing.keeps(row["step"]):
                        yield _unpack(row)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def open_large(path: str | os.PathLike[str], *, size_limit: int = DEFAULT_SIZE_LIMIT) -> Record:
    """As :func:`read`, but only a part of the stream is in memory at a time."""
    parts, notes, spacing = _parts(Path(path), size_limit), [], Spacing()
    for name, load in parts:
        try:
            told = _spacing(_decode(load()).schema)
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


def pack(directory: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Write a bundle directory with its stream as one zip file; ``bundle.write`` has no place for a stream.

    Raises:
        BundleError: The directory is no whole bundle.
        OSError: The zip file cannot be written.
    """
    directory, archive = Path(directory), Path(archive)
    bundle.write(bundle.read(directory), archive)
    add_to(archive, directory)


def parts_of(directory: Path) -> list[Path]:
    """The files of the stream of a bundle directory, in order; none where there is no stream."""
    folder = directory / STREAM_FOLDER
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def size_of(path: Path, *, size_limit: int = DEFAULT_SIZE_LIMIT) -> int:
    """Bytes of the stream of a bundle, as it lies in a directory, or unpacked where it is a zip file.

    Raises:
        BundleError: There is nothing at the path, or the zip file is refused.
    """
    if path.is_dir():
        return sum(part.stat().st_size for part in parts_of(path))
    with _opened(path, size_limit) as archive:
        return sum(archive.size(name) for name in archive.names if _in_stream(name))


def _parts(path: Path, size_limit: int) -> list[tuple[str, Callable[[], bytes]]]:
    """Name and reader of each part of the stream of a bundle, in order."""
    if path.is_dir():
        return [(part.name, part.read_bytes) for part in parts_of(path)]
    with _opened(path, size_limit) as archive:
        names = sorted(name for name in archive.names if _in_stream(name))
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


def add_to(archive: Path, directory: Path, prefix: str = "") -> None:
    """Add the stream of a bundle directory, where there is one, to a zip file of the same bundle.

    Args:
        archive: The zip file.
        directory: The bundle directory.
        prefix: Folder of the bundle in the zip file, with a slash at its end; empty for its top.

    Raises:
        OSError: The zip file cannot be written.
    """
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
        for path in parts_of(directory):
            file.write(path, f"{prefix}{STREAM_FOLDER}/{path.name}")


def bundles_in(archive: Path) -> list[str]:
    """Folders of a zip file whose bundles hold a stream, in order: ``""`` for its top, else with a slash at the end.

    Raises:
        OSError: The file cannot be read.
        zipfile.BadZipFile: It is no zip file.
    """
    with zipfile.ZipFile(archive) as file:
        return sorted({_prefix(name) for name in file.namelist()[:_MOST_MEMBERS] if _in_stream(name)})


def take_out(archive: Path, prefix: str, target: Path, *, size_limit: int = DEFAULT_SIZE_LIMIT) -> None:
    """Write one of several bundles of a zip file, with its stream, as a zip file of its own.

    Args:
        archive: The zip file.
        prefix: One of ``bundles_in``.
        target: The zip file to write.
        size_limit: Bytes that the zip file may take, unpacked.

    Raises:
        BundleError: The zip file is refused.
        OSError: The target cannot be written.
    """
    try:
        with open_archive(archive, size_limit) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
            for name in source.names:
                if name.startswith(prefix):
                    file.writestr(name.removeprefix(prefix), source.read(name))
    except ArchiveError as error:
        raise BundleError(archive, str(error), "Copy the file again, or give the lanes one by one.") from error


def _prefix(name: str) -> str:
    return "".join(f"{folder}/" for folder in name.split("/")[:-2])


def _in_stream(name: str) -> bool:
    folders = name.split("/")[:-1]
    return bool(_NAME.fullmatch(name.split("/")[-1])) and len(folders) <= 2 and folders[-1:] == [STREAM_FOLDER]


def _assemble(parts: Iterable[tuple[str, Callable[[], bytes]]]) -> Record:
    samples, notes, spacing = [], [], Spacing()
    for name, load in parts:
        try:
            rows = _decode(load())
            told = _spacing(rows.schema)
            if told is not None and told.stride >= spacing.stride:
                spacing = told
            samples += [_unpack(row) for row in rows.to_pylist()]
        except ValueError as error:
            notes.append(f"{name} cannot be read, its samples are left out: {error}")
    if spacing.stride > 1:  # a writer that was killed while it thinned has thinned some parts only
        samples = [sample for sample in samples if spacing.keeps(sample.step)]
        notes.append(_thinned(spacing))
    return Record(tuple(samples), tuple(notes), spacing)


def _thinned(spacing: Spacing) -> str:
    return f"the stream was thinned to stay within its cap: it keeps one check of {spacing.stride}"


def _pack(sample: Sample) -> dict[str, Any]:
    """A row: a factor is symmetric, so only its lower triangle, which ``eigh`` reads, is stored.

    A sum of products may differ from its mirror image in the last bit. For a replay that gives every bit back, such a
    factor keeps the bits in which they differ too.
    """
    values = np.asarray(sample.values)
    kind = "<f8" if values.dtype == np.float64 else "<f4"
    factor = sample.kind == "factor"
    numbers = np.ascontiguousarray(values[_lower(len(values), 0)] if factor else values.reshape(-1), kind)
    return {
        "step": sample.step,
        "kind": sample.kind,
        "id": sample.id,
        "shape": list(values.shape),
        "root": sample.root,
        "epsilon": sample.epsilon,
        "beta": sample.beta,
        "steps": sample.steps,
        "dtype": kind,
        "values": numbers.tobytes(),
        "mirror": _mirror(values.astype(kind, copy=False)) if factor else None,
    }


def _mirror(matrix: np.ndarray) -> bytes | None:
    """The bits in which the upper triangle differs from the lower one, row by row of the lower; None where in none."""
    if np.array_equal(matrix, matrix.T):
        return None
    below = _lower(len(matrix), -1)
    bits = f"<u{matrix.itemsize}"
    differ = np.ascontiguousarray(matrix[below]).view(bits) ^ np.ascontiguousarray(matrix.T[below]).view(bits)
    return zlib.compress(differ.tobytes(), 1) if differ.any() else None


def _unpack(row: dict[str, Any]) -> Sample:
    shape = tuple(row["shape"])
    if row["dtype"] not in (None, "<f4", "<f8"):  # none: a stream of the first release, which keeps A in float32
        raise ValueError(f"numbers of type {row['dtype']!r}: must be <f4 or <f8")
    numbers = np.frombuffer(row["values"], row["dtype"] or "<f4")
    factor = row["kind"] == "factor"
    square = len(shape) == 2 and shape[0] == shape[1]
    expected = shape[0] * (shape[0] + 1) // 2 if factor and square else int(np.prod(shape, dtype=np.int64))
    if min(shape, default=1) < 1 or (factor and not square) or len(numbers) != expected:
        raise ValueError(f"a {row['kind']} of step {row['step']} has {len(numbers)} numbers for the shape {shape}")
    values = _whole(numbers, shape[0], row["mirror"], row["step"]) if factor else numbers.reshape(shape).copy()
    return Sample(row["step"], row["kind"], row["id"], values, row["root"], row["epsilon"], row["beta"], row["steps"])


def _whole(numbers: np.ndarray, size: int, mirror: bytes | None, step: int) -> np.ndarray:
    values = np.zeros((size, size), numbers.dtype)
    values[_lower(size, 0)] = numbers
    below = _lower(size, -1)
    above = values[below]
    if mirror is not None:
        unpacker = zlib.decompressobj()
        try:
            differ = unpacker.decompress(mirror, above.nbytes)
        except zlib.error as error:
            raise ValueError(f"a factor of step {step}: {error}") from error
        if len(differ) != above.nbytes:
            raise ValueError(f"a factor of step {step} has {len(differ)} bytes for its upper triangle")
        bits = f"<u{above.itemsize}"
        above = (above.view(bits) ^ np.frombuffer(differ, bits)).view(above.dtype)
    values.T[below] = above
    return values


@lru_cache(maxsize=64)
def _lower(size: int, diagonal: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the lower triangle; making them takes longer than taking the numbers."""
    return np.tril_indices(size, diagonal)


def _row_bytes(row: dict[str, Any]) -> int:
    return len(row["values"]) + len(row["mirror"] or b"")


def _size_of(column: pa.ChunkedArray) -> int:
    return sum(len(value) for value in column.to_pylist() if value is not None)


def _spacing(schema: pa.Schema) -> Spacing | None:
    """Which steps the writer of a part kept; None where the part does not tell.

    Raises:
        ValueError: What it tells is no spacing.
    """
    told = schema.metadata or {}
    found = [told[name] for name in map(str.encode, _SPACING) if name in told]
    if len(found) < len(_SPACING):
        return None
    if not all(text.isdigit() and len(text) < 16 for text in found) or not int(found[0]) or not int(found[1]):
        raise ValueError(f"spacing {[text.decode(errors='replace') for text in found]}: must be whole numbers")
    return Spacing(*map(int, found))


def _encode(rows: pa.Table, spacing: Spacing) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    told = {} if spacing.first is None else {name: str(getattr(spacing, name)) for name in _SPACING}
    schema = _SCHEMA.with_metadata(told)
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows.replace_schema_metadata(told))
    return sink.getvalue()


def _decode(data: bytes) -> pa.Table:
    """Rows of a part, with what the part tells of its spacing as metadata.

    Raises:
        ValueError: The bytes are no whole, valid part.
    """
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
        told = rows.schema.metadata
        for field in _SCHEMA:
            if field.name in _ADDED and field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(_SCHEMA.names).cast(_SCHEMA).replace_schema_metadata(told)
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
