"""Files of one's own over a page: kept, looked into elsewhere, named in links, refused with a remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foam_viz.engine.server import task_files
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config, export, links
from foam_viz.optim.fields import FieldError
from foam_viz.tasks import catalogue, uploads

ROWS = "".join(f"{i},{i * i % 7},{i % 5}\n" for i in range(40))
TABLE = f'a,"b, or c",y\n{ROWS}'.encode()
TEXT = ("The quick brown fox jumps over the lazy dog.\n" * 40).encode()


def held() -> None:
    """The directory is held."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOAM_VIZ_TASK_FILES", str(tmp_path))
    return tmp_path


def test_a_table_is_kept_and_shown_and_trained_on(folder: Path) -> None:
    file = task_files.take(folder, "table", "mine.csv", TABLE, held)
    assert list(file.names) == ["a", "b, or c", "y"] and file.found["rows"] == 40
    assert file.found["head"][2] == [2, 4, 2] and uploads.is_upload(file.value)
    settings = {"table": file.value, "target": "a", "columns": '"b, or c"'}
    experiment, errors = config.build("csv", settings, {"steps": 5}, [("adamw", {})])
    assert not errors
    again, refused = links.from_query(
        {k: [v] if isinstance(v, str) else v for k, v in links.to_query(experiment).items()}
    )
    assert not refused and again == experiment  # the link trains on the same file
    run = Run(again.lane_config(0), run_id="x")
    assert run.task.names == ("b, or c",)
    run.advance()
    manifest = run.manifest().config
    assert config.from_manifest(manifest)[1] == []
    for text in (export.as_python(manifest), export.as_cli(manifest)):
        assert "PATH-OF-YOUR-FILE" in text and file.value not in text and "b, or c" in text


def test_a_text_is_kept_and_shown_and_trained_on(folder: Path) -> None:
    file = task_files.take(folder, "text", "mine.txt", TEXT, held)
    assert file.found["characters"] == len(TEXT) and file.found["head"].startswith("The quick")
    experiment, errors = config.build("tiny-gpt", {"text": file.value, "context": 16}, {"steps": 5}, [("adamw", {})])
    assert not errors
    Run(experiment.lane_config(0), run_id="x").advance()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"1,2\n" * 50_000_001, "at most 20 MB, this one has 200.0: cut it"),
        (b"a,b\n1,2\n", "at least 20 rows, for there must be some to hold out; 1 found: add rows"),
        (b"a,b\n" + b"1,2\n" * 30, "columns vary"),
        (b"a,b\n" + b"1,nan\n" * 30, "line 2, column 'b' holds 'nan': replace it by a finite number"),
        (TABLE.decode().encode("utf-16"), "a text in UTF-8; byte 0 is not: save it in that encoding"),
        (b"", "this file is empty"),
        (b"\x00" * 1000, "must be"),
    ],
    ids=["200 MB", "one row", "constants", "NaN", "UTF-16", "empty", "zeros"],
)  # fmt: skip
def test_what_cannot_be_used_names_field_file_reason_and_remedy(folder: Path, content: bytes, words: str) -> None:
    with pytest.raises(FieldError) as caught:
        task_files.take(folder, "table", "mine.csv", content, held)
    message = str(caught.value)
    assert message.startswith("table = mine.csv: must be ") and words in message and str(folder) not in message
    assert list(folder.iterdir()) == []  # nothing is kept


def test_a_text_without_an_alphabet_is_refused(folder: Path) -> None:
    with pytest.raises(FieldError, match="at least 180 characters"):
        task_files.take(folder, "text", "mine.txt", b"short", held)
    many = "".join(chr(0x4E00 + i) for i in range(600)).encode()
    with pytest.raises(FieldError, match="2 to 512 different characters"):
        task_files.take(folder, "text", "mine.txt", many, held)


@pytest.mark.parametrize(
    "settings",
    [
        {"table": "/etc/passwd"},
        {"table": "/etc/passwd", "target": "upload:" + "0" * 32},
        {"table": "upload:" + "0" * 32 + "/../x"},
        {"table": "upload:../../etc/passwd"},
    ],
)  # fmt: skip
def test_a_link_opens_no_file_but_an_upload(settings: dict[str, str]) -> None:
    kept, refused = catalogue.find("csv").foreign(settings)
    assert "table" not in kept and refused
    link, errors = links.from_query({"task": ["csv"], **{name: [value] for name, value in settings.items()}})
    assert link.task_settings["table"] is None and errors


def test_an_upload_that_is_gone_says_so_and_the_oldest_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = task_files.take(folder, "table", "a.csv", TABLE, held)
    os.utime(folder / first.value.removeprefix("upload:"), (1, 1))
    second = task_files.take(folder, "table", "b.csv", TABLE + b"1,2,3\n", held)
    monkeypatch.setattr(uploads, "MOST_BYTES", 2 * len(TABLE) + 30)
    third = task_files.take(folder, "table", "c.csv", TABLE + b"1,2,4\n", held)
    assert {path.name for path in folder.iterdir()} == {one.value.removeprefix("upload:") for one in (second, third)}
    experiment, _ = config.build("csv", {"table": first.value}, {}, [("adamw", {})])
    with pytest.raises(FieldError, match="no longer: upload it again"):
        Run(experiment.lane_config(0), run_id="x")
