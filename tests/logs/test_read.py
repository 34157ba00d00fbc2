"""From files to runs: claims, guards, names, masks, and what is left over."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

from foam_viz.logs import LogError, Options, Reader, read, read_all
from foam_viz.logs.core import catalogue, reading
from foam_viz.logs.core.mask import MASKED
from foam_viz.logs.core.reader import Group, LogFile
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.trace import manifest as manifests
from tests.logs.make_bundles import make_bundles


def run_of(file: LogFile, **fields: object) -> Trace:
    given = {"run_id": file.base, "name": file.base, "files": (file.name,), **fields}
    return Trace(Manifest(**given), steps=record_table())


def record_table() -> object:
    import pyarrow as pa

    return pa.Table.from_batches([record_batch("steps", {"step": [1], "loss": [1.0]})])


def claiming(word: str, **behaviour: object) -> Reader:
    """A reader of files that begin with a word."""

    def find(files: Sequence[LogFile]) -> list[Group]:
        if any(file.head.startswith(b"break find") for file in files) and behaviour.get("breaks"):
            raise KeyError("find")
        return [(file,) for file in files if file.head.startswith(word.encode())]

    def read_one(group: Group, options: Options) -> list[Trace]:
        if error := behaviour.get("error"):
            raise error
        return [run_of(group[0], **behaviour.get("fields", {}))]

    return Reader(name=word, label=f"{word} logs", summary="", find=find, read=read_one)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> object:
    return lambda *chosen: monkeypatch.setattr(reading, "READERS", chosen)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_the_first_reader_that_claims_a_file_gets_it(tmp_path: Path, readers: object) -> None:
    readers(claiming("ab"), claiming("a"))
    write(tmp_path, x="abc", y="acc")
    claims, problems = reading.claim(reading.gather([tmp_path], tmp_path / "scratch")[0])
    assert [(reader.name, group[0].base) for reader, group in claims] == [("ab", "x"), ("a", "y")]
    assert problems == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("by zero"), "failed on it with ZeroDivisionError: by zero"),
        (RecursionError(), "failed on it with RecursionError"),
        (MemoryError(), "needs more memory than allowed"),
    ],
)
def test_a_reader_that_fails_costs_its_file_alone(
    tmp_path: Path, readers: object, error: Exception, words: str
) -> None:
    readers(claiming("bad", error=error), claiming("good"))
    found = read_all([write(tmp_path, a="bad", b="good", c="neither")])
    assert [trace.manifest.name for trace in found.traces] == ["b"]
    failed, unknown = found.problems
    assert failed.file.endswith("/a")
    assert words in failed.reason
    assert unknown.file.endswith("/c")
    assert "bad logs, good logs" in unknown.remedy


def test_a_reader_that_fails_while_looking_costs_the_file_at_fault(tmp_path: Path, readers: object) -> None:
    readers(claiming("good", breaks=True), claiming("better"))
    found = read_all([write(tmp_path, a="good", b="break find", c="better")])
    assert [trace.manifest.name for trace in found.traces] == ["a", "c"]
    (problem,) = found.problems
    assert problem.file.endswith("/b")
    assert "KeyError" in problem.reason


def test_many_unknown_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for index in range(14):
        (tmp_path / "d" / f"{index}.bin").write_bytes(b"\x00\x01\x02")
    (problem,) = read_all([tmp_path / "d"]).problems
    assert problem.place == "14 files"
    assert "d/9.bin and 4 more" in problem.file
    assert "d/10.bin" not in problem.file


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(LogError, match=r"weights\.pkl: holds pickled objects .* never loaded"):
        read(tmp_path / "weights.pkl")


def test_masks_and_odd_text_whoever_read_it(tmp_path: Path, readers: object) -> None:
    fields = {
        "config": {"token": "abcdefgh", "odd": "\ud800x", "when": Path("x"), "nan": float("nan")},
        "hardware": {"owner": "me@example.org"},
        "name": "caf\udce9",
        "notes": ("\ud800",),
    }
    readers(claiming("x", fields=fields))
    (trace,) = read(write(tmp_path, a="x"))
    assert trace.manifest.config == {"token": MASKED, "odd": "?x", "when": "x", "nan": None}
    assert trace.manifest.hardware == {"owner": MASKED}
    assert trace.manifest.name == "caf?"
    assert manifests.loads(manifests.dumps(trace.manifest)) == trace.manifest
    (trace,) = read(tmp_path, options=Options(show_secrets=True))
    assert trace.manifest.config["token"] == "abcdefgh"


def test_names_and_identities_are_made_unique(tmp_path: Path, readers: object) -> None:
    readers(claiming("x", fields={"name": "run", "run_id": "id"}))
    for folder in ("a/seed_1", "a/seed_2", "b"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder, log="x")
    write(tmp_path / "b", log2="x")
    traces = read(tmp_path / "a", tmp_path / "b")
    assert [trace.manifest.name for trace in traces] == ["a/seed_1/run", "a/seed_2/run", "b/run", "b/run (2)"]
    assert [trace.manifest.run_id for trace in traces] == ["id", "id (2)", "id (3)", "id (4)"]
    assert any("same identity" in note for note in traces[1].manifest.notes)


def test_problems_beside_a_run_are_its_notes_and_others_are_warned_of(tmp_path: Path, readers: object) -> None:
    readers(claiming("good"), claiming("bad", error=ValueError("no")))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "one", a="good", b="bad")
    write(tmp_path / "two", c="bad")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (trace,) = read(tmp_path / "one", tmp_path / "two")
    assert [note.split(":")[0] for note in trace.manifest.notes] == ["one/b"]
    assert [str(warning.message).split(":")[0] for warning in caught] == ["two/c"]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent: there is no such file or folder"):
        read(make_bundles(tmp_path), tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogError, match="holds no file"):
        read(tmp_path / "empty")
    write(tmp_path / "empty", a="\0\1\2", b="")
    with pytest.raises(LogError) as caught:
        read(tmp_path / "empty")
    assert len(caught.value.__notes__) == 1


def test_the_catalogue() -> None:
    names = [reader.name for reader in catalogue.READERS]
    assert len(set(names)) == len(names)
    assert names[0] == "foam_viz"
    assert names[-2:] == ["table", "key-value"]
    assert catalogue.find("mlflow").name == "mlflow"
    with pytest.raises(KeyError, match="no format 'nope'"):
        catalogue.find("nope")
