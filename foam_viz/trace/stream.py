"""The factor stream: chosen factors, and the gradients of their parameters, kept whole under a byte cap.

It is no table of a trace. It lies beside the tables, in ``stream/`` of the bundle's directory, where readers of bundles
pass it over; :func:`read` reads it. See "Factor stream" in ``docs/trace.md``.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from foam_viz.trace import bundle
from foam_viz.trace.archive import ArchiveError, open_archive
from foam_viz.trace.bundle import BundleError
from foam_viz.trace.parts import TEMPORARY_SUFFIX, write_atomically

STREAM_FOLDER = "stream"
DEFAULT_SIZE_LIMIT = 2 * 2**30
PART_BYTES = 4 * 2**20
"""So much is gathered before a part is written; a kill loses what is gathered."""

_NAME = re.compile(r"stream\.(\d{8})\.arrow")
_ADDED = ("beta", "steps", "dtype")  # since the first release
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
    ]
)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Which factors are kept whole, and when.

    Attributes:
        factors: Ids, or patterns with ``*``, of factors: ``"0.block_0.0"``.
        every: Steps between two samples; the check period, or a divisor of it, allows an exact replay.
        byte_cap: Bytes of numbers that are kept at most; the stream ends before the sample that would pass it.
        gradients: Whether the gradients of the factors' parameters are kept too.

    Raises:
        ValueError: A value is outside its range.
    """

    factors: tuple[str, ...]
    every: int = 10
    byte_cap: int = 50_000_000
    gradients: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.factors, str) or not self.factors or not all(isinstance(f, str) for f in self.factors):
            raise ValueError(f"Stream.factors = {self.factors!r}: must be a tuple of factor ids, like ('0.block_0.0',)")
        for name in ("every", "byte_cap"):
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
        corrected = self.beta is not None and self.beta < 1 and self.steps
        return self.values / self.values.dtype.type(1 - self.beta**self.steps) if corrected else self.values


@dataclass(frozen=True, eq=False)
class Record:
    """What :func:`read` found.

    Attributes:
        samples: In the order in which they were recorded.
        notes: Parts that could not be read, and why.
    """

    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()


class StreamFile:
    """Writes the stream of one run, as its only writer.

    Args:
        directory: The bundle directory.
        byte_cap: Bytes of numbers at most, those of an earlier writer included.
        after: Samples beyond this step are dropped first; None drops none.

    Attributes:
        bytes: Bytes of numbers so far.
        full: Whether a sample was refused because of the cap; none is taken after.
    """

    def __init__(self, directory: Path, byte_cap: int, after: int | None = None) -> None:
        self._folder = directory / STREAM_FOLDER
        self._cap = byte_cap
        self._pending: list[dict[str, object]] = []
        self._pending_bytes = self.bytes = self._next = 0
        self.full = False
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            if path.name.endswith(TEMPORARY_SUFFIX):
                path.unlink()
            elif match := _NAME.fullmatch(path.name):
                self._next = max(self._next, int(match[1]) + 1)
                self._keep(path, after)

    def _keep(self, path: Path, after: int | None) -> None:
        try:
            rows = _decode(path.read_bytes())
        except ValueError:
            return  # torn: the reader reports it
        kept = rows if after is None else rows.filter(pa.array([s <= after for s in rows["step"].to_pylist()]))
        if len(kept) < len(rows):
            write_atomically(path, _encode(kept), durable=True)
        self.bytes += sum(len(value) for value in kept["values"].to_pylist())

    def add(self, samples: Iterable[Sample]) -> None:
        """Take the samples of one step, all or none of them.

        Raises:
            OSError: A part could not be written; its samples are kept for the next.
        """
        rows = [_pack(sample) for sample in samples]
        size = sum(len(row["values"]) for row in rows)
        if self.full or self.bytes + size > self._cap:
            self.full = True
            return
        self._pending += rows
        self._pending_bytes += size
        self.bytes += size
        if self._pending_bytes >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered as one part.

        Raises:
            OSError: It could not be written; the samples are kept for the next part.
        """
        if not self._pending:
            return
        rows = pa.Table.from_pylist(self._pending, schema=_SCHEMA)
        write_atomically(self._folder / f"stream.{self._next:08d}.arrow", _encode(rows), durable=False)
        self._next += 1
        self._pending, self._pending_bytes = [], 0


def read(path: str | os.PathLike[str], *, size_limit: int = DEFAULT_SIZE_LIMIT) -> Record:
    """Read the factor stream of a bundle; one without a stream gives no samples.

    Args:
        path: The bundle: a directory, or a zip file with the bundle at its top or in a single folder.
        size_limit: Bytes that the stream may take, unpacked.

    Raises:
        BundleError: There is nothing at the path, the zip file is refused, or the stream is larger than the limit.
    """
    path = Path(path)
    try:
        if path.is_dir():
            folder = path / STREAM_FOLDER
            names = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
            return _assemble((name, (folder / name).read_bytes) for name in names if _NAME.fullmatch(name))
        with open_archive(path, size_limit) as archive:
            found = sorted(name for name in archive.names if _in_stream(name))
            return _assemble((name, lambda name=name: archive.read(name)) for name in found)
    except ArchiveError as error:
        raise BundleError(path, str(error), "Copy the file again, or raise the size limit if you trust it.") from error
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error.strerror or error}", "Check the path.") from error


def pack(directory: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Write a bundle directory with its stream as one zip file; ``bundle.write`` has no place for a stream.

    Raises:
        BundleError: The directory is no whole bundle.
        OSError: The zip file cannot be written.
    """
    directory, archive = Path(directory), Path(archive)
    bundle.write(bundle.read(directory), archive)
    folder = directory / STREAM_FOLDER
    if not folder.is_dir():
        return
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.iterdir()):
            if _NAME.fullmatch(path.name):
                file.write(path, f"{STREAM_FOLDER}/{path.name}")


def _in_stream(name: str) -> bool:
    folders = name.split("/")[:-1]
    return bool(_NAME.fullmatch(name.split("/")[-1])) and len(folders) <= 2 and folders[-1:] == [STREAM_FOLDER]


def _assemble(parts: Iterable[tuple[str, object]]) -> Record:
    samples, notes = [], []
    for name, load in parts:
        try:
            samples += [_unpack(row) for row in _decode(load()).to_pylist()]
        except ValueError as error:
            notes.append(f"{name} cannot be read, its samples are left out: {error}")
    return Record(tuple(samples), tuple(notes))


def _pack(sample: Sample) -> dict[str, object]:
    """A row: a factor is symmetric, so only its lower triangle, which ``eigh`` reads, is stored."""
    values = np.asarray(sample.values)
    kind = "<f8" if values.dtype == np.float64 else "<f4"
    numbers = values[np.tril_indices(len(values))] if sample.kind == "factor" else values.reshape(-1)
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
        "values": np.ascontiguousarray(numbers, kind).tobytes(),
    }


def _unpack(row: dict[str, object]) -> Sample:
    shape = tuple(row["shape"])
    if row["dtype"] not in (None, "<f4", "<f8"):  # none: a stream of the first release, which keeps A in float32
        raise ValueError(f"numbers of type {row['dtype']!r}: must be <f4 or <f8")
    numbers = np.frombuffer(row["values"], row["dtype"] or "<f4")
    factor = row["kind"] == "factor"
    square = len(shape) == 2 and shape[0] == shape[1]
    expected = shape[0] * (shape[0] + 1) // 2 if factor and square else int(np.prod(shape, dtype=np.int64))
    if min(shape, default=1) < 1 or (factor and not square) or len(numbers) != expected:
        raise ValueError(f"a {row['kind']} of step {row['step']} has {len(numbers)} numbers for the shape {shape}")
    if factor:
        values = np.zeros(shape, numbers.dtype)
        values[np.tril_indices(shape[0])] = numbers
        values = values + np.tril(values, -1).T
    else:
        values = numbers.reshape(shape).copy()
    return Sample(row["step"], row["kind"], row["id"], values, row["root"], row["epsilon"], row["beta"], row["steps"])


def _encode(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def _decode(data: bytes) -> pa.Table:
    """Rows of a part.

    Raises:
        ValueError: The bytes are no whole, valid part.
    """
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
        for field in _SCHEMA:
            if field.name in _ADDED and field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(_SCHEMA.names).cast(_SCHEMA)
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
