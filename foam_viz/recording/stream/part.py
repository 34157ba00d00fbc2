"""The format of a part of a factor stream: samples as rows of an Arrow file, and back."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from foam_viz.recording.stream.model import Sample, Spacing

STREAM_FOLDER = "stream"
PART_NAME = re.compile(r"stream\.(\d{8})\.arrow")
_ADDED = ("beta", "steps", "dtype", "mirror")  # since the first release
_SPACING = ("every", "stride", "first")
SCHEMA = pa.schema(
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


def parts_of(directory: Path) -> list[Path]:
    """The files of the stream of a bundle directory, in order; none where there is no stream."""
    folder = directory / STREAM_FOLDER
    return sorted(path for path in folder.iterdir() if PART_NAME.fullmatch(path.name)) if folder.is_dir() else []


def is_part(name: str) -> bool:
    """Whether a member of a zip file is a part of the stream of a bundle in it."""
    folders = name.split("/")[:-1]
    return bool(PART_NAME.fullmatch(name.split("/")[-1])) and len(folders) <= 2 and folders[-1:] == [STREAM_FOLDER]


def row_of(sample: Sample) -> dict[str, Any]:
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


def sample_of(row: dict[str, Any]) -> Sample:
    """The sample of a row.

    Raises:
        ValueError: The row holds no whole, valid sample.
    """
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


def row_bytes(row: dict[str, Any]) -> int:
    """Bytes of numbers in a row."""
    return len(row["values"]) + len(row["mirror"] or b"")


def column_bytes(column: pa.ChunkedArray) -> int:
    """Bytes of numbers in a column of rows."""
    return sum(len(value) for value in column.to_pylist() if value is not None)


def spacing_of(schema: pa.Schema) -> Spacing | None:
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


def encode(rows: pa.Table, spacing: Spacing) -> pa.Buffer:
    """A part with these rows, which tells the spacing."""
    sink = pa.BufferOutputStream()
    told = {} if spacing.first is None else {name: str(getattr(spacing, name)) for name in _SPACING}
    schema = SCHEMA.with_metadata(told)
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows.replace_schema_metadata(told))
    return sink.getvalue()


def decode(data: bytes) -> pa.Table:
    """Rows of a part, with what the part tells of its spacing as metadata.

    Raises:
        ValueError: The bytes are no whole, valid part.
    """
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
        told = rows.schema.metadata
        for field in SCHEMA:
            if field.name in _ADDED and field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(told)
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
