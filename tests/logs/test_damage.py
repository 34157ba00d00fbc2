"""Damaged and foreign files: each says the place, what is wrong there and what to do."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from foam_viz.logs import read_all
from foam_viz.logs.core.reader import Reading

ROWS = [{"step": step, "loss": 5 / step} for step in range(1, 41)]
CSV = "step,loss\n" + "".join(f"{step},{1 / step}\n" for step in range(1, 5000))


def parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(
        pa.table({"step": list(range(1000)), "loss": [1.0 / (i + 1) for i in range(1000)]}), sink
    )
    return sink.getvalue()


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name in ("a.csv", "b.csv"):
            info = tarfile.TarInfo(name)
            info.size = 1000
            archive.addfile(info, io.BytesIO(CSV[:1000].encode()))
    return sink.getvalue()


def packed() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    return sink.getvalue()


def database(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "made")
    connection.execute("create table metrics (id, step, value)")
    connection.executemany("insert into metrics values (?, ?, ?)", [(i, i, i) for i in range(2000)])
    connection.commit()
    connection.close()
    data = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return data


def spoiled(data: bytes, start: int, size: int = 30) -> bytes:
    return data[:start] + b"\xff" * size + data[start + size :]


def given(folder: Path, name: str, data: bytes | str) -> Reading:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_all([folder / name])


GZ, ZIP, TAR, PARQUET = gzip.compress(CSV.encode(), mtime=0), packed(), tar(), parquet()


@pytest.mark.parametrize(
    ("name", "data", "place", "reason"),
    [
        ("broken.json", json.dumps(ROWS, indent=1).replace('"step": 20,', '"step": 20;'), "line 79, column 13",
         "is not valid JSON: expected ',' or the closing bracket, found ';' (byte 863)"),
        ("truncated.json", json.dumps(ROWS)[:-20], "line 1, column", "found the end of the text"),
        ("broken.zip", spoiled(ZIP, 500), "", "bytes from byte 0 of the archive"),
        ("cut.zip", ZIP[:-100], f"byte {len(ZIP) - 100:,}", "ends without the list of its members (PK 5 6)"),
        ("list.zip", spoiled(ZIP, ZIP.index(b"PK\1\2"), 4), f"byte {ZIP.index(b'PK' + bytes([1, 2])):,}",
         r"expected the list of members (PK 1 2), found b'\xff\xff\xff\xff'"),
        ("empty.zip", b"PK\5\6" + bytes(18), "", "is an archive with no file in it"),
        ("notazip.zip", "just text\n" * 9, "byte 0", "is text: expected PK at its start, found b'just text\\nju'"),
        ("broken.csv.gz", spoiled(GZ, 5000), "byte 5,", "unpacked bytes, which are read: invalid"),
        ("cut.csv.gz", GZ[:-500], f"byte {len(GZ) - 500:,} of", "the file ends inside a compressed block"),
        ("broken.tar", spoiled(TAR, TAR.index(b"b.csv"), 300), "byte 1,536 of the unpacked archive",
         "expected the header of a member or the end, found b'\\xff"),
        ("cut.tar", TAR[:1800], "byte 1,536 of", "and it is cut off inside one"),
        ("cut.parquet", PARQUET[:-100], f"byte {len(PARQUET) - 104:,}", "expected PAR1 at the end of the file"),
        ("page.parquet", spoiled(PARQUET, 60, 200), "row group 1, column step, from byte 4", "damaged Parquet file"),
        ("footer.parquet", spoiled(PARQUET, len(PARQUET) - 60, 40), "the footer, byte", "damaged Parquet file"),
        ("x.yaml", "a: [1, 2\nb: {x", "line 2, column 2", "is not valid YAML"),
        ("x.xml", "<runs><run step='1'/></runs", "line 1, column 22", "is not valid XML: unclosed token"),
        ("bomb.xml", '<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>', "", "is XML, which is not read"),
        ("x.html", "<!DOCTYPE html><html>404</html>", "", "is a web page, not a log"),
        ("head.csv", "step,loss\n", "line 1", "has a header and no row behind it"),
        ("blank.csv", "\n\n", "", "holds only blanks and line breaks"),
        ("zeros.log", bytes(500), "byte 0", "holds only zero bytes"),
        ("empty.log", b"", "", "is empty"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "", "is a PNG picture, not a log"),
        ("x.7z", b"7z\xbc\xaf'\x1c" + bytes(50), "", "is a 7z archive"),
        ("x.xlsx", b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + bytes(50), "", "save the sheet as CSV"),
        ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(50), "", "is an HDF5 file"),
        ("scalar.json", "42", "", "is JSON in which no list of records or of numbers stands"),
        ("lfs.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "", "Git-LFS pointer"),
    ],
)  # fmt: skip
def test_a_bad_file_says_where_and_why(tmp_path, name, data, place, reason):
    problems = given(tmp_path, name, data).problems
    assert problems and all(problem.remedy for problem in problems)
    said = [(problem.place, f"{problem.reason} {problem.remedy}") for problem in problems]
    assert any(where.startswith(place) and reason in why for where, why in said), said


def test_a_damaged_npz_and_arrays_are_named(tmp_path):
    sink = io.BytesIO()
    np.savez(sink, step=np.arange(10))
    (problem,) = given(tmp_path, "x.npz", sink.getvalue()).problems
    assert problem.reason == "is an archive of numpy arrays, which is not read"


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (lambda data: data[:5000], "byte 5,000", "states 10 pages of 4,096 bytes: it is cut off"),
        (lambda data: data[:80], "byte 80", "ends inside its header of 100 bytes"),
        (lambda data: spoiled(data, 100, 4000), "page 1, byte 100", "expected a page of a table or an index"),
        (lambda data: spoiled(data, 16, 2), "byte 16", "a page size of 65,535 is stated"),
    ],
)
def test_a_damaged_database_says_where(tmp_path, change, place, reason):
    (problem,) = given(tmp_path, "x.db", change(database(tmp_path))).problems
    assert problem.place == place and reason in problem.reason and problem.remedy


def test_everything_before_the_damage_is_read(tmp_path):
    traces = given(tmp_path, "broken.csv.gz", spoiled(GZ, len(GZ) // 2)).traces
    assert sum(trace.rows("steps") for trace in traces) > 1500
    reading = given(tmp_path, "crc.csv.gz", GZ[:-8] + bytes(8))
    assert reading.traces[0].rows("steps") == 4999
    assert "incorrect data check" in reading.problems[0].reason


@pytest.mark.parametrize("lines", [True, False])
def test_lone_surrogates_are_read(tmp_path, lines):
    rows = [{"step": step, "loss\ud800": 1.0, "name": "\udfff", "loss": 2.0 / step} for step in range(1, 10)]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    (trace,) = given(tmp_path, "surrogate.json", text).traces
    assert trace.values("steps", "loss")[0] in (1.0, 2.0)
    json.dumps([*trace.steps.column_names, *trace.manifest.notes], ensure_ascii=False).encode()
