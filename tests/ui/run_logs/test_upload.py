"""Names that come with uploads, and the folder that holds the files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foam_viz.ui.run_logs.sources import allowed_folder
from foam_viz.ui.run_logs.upload import Uploads, safe_name

NAMES = {
    "run.csv": "run.csv",
    "study/trial_1/measurements.csv": "study/trial_1/measurements.csv",
    "läufe/ver such.csv": "läufe/ver such.csv",
    "../../etc/passwd": "___/___/etc/passwd",
    "/etc/passwd": "etc/passwd",
    "..\\..\\x.csv": "___/___/x.csv",
    "C:\\logs\\x.csv": "C_/logs/x.csv",
    "a\0b\n.csv": "a_b_.csv",
    "NUL": "_NUL",
    "": "unnamed",
    "./././": "unnamed",
}


@pytest.mark.parametrize(("given_name", "kept"), NAMES.items())
def test_a_name_becomes_a_harmless_path(given_name: str, kept: str) -> None:
    assert safe_name(given_name) == kept


@given(st.text(max_size=600))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    kept = PurePosixPath(safe_name(name))
    assert not kept.is_absolute()
    assert ".." not in kept.parts
    assert all(0 < len(part.encode()) <= 120 for part in kept.parts)
    assert len(kept.parts) <= 12
    assert not any(ord(character) < 32 for character in str(kept))


def test_a_long_name_keeps_its_suffix() -> None:
    assert safe_name("x" * 500 + ".parquet").endswith("x.parquet")


def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", lambda: None)


def test_files_lie_in_a_folder_of_their_own_and_go_with_it(tmp_path: Path) -> None:
    kept = uploads(tmp_path)
    outside = tmp_path / "outside.csv"
    outside.write_text("mine")
    files = [("a/x.csv", b"1"), ("a/x.csv", b"2"), ("../../outside.csv", b"3"), ("a", b"4")]
    folder = kept.keep(files)
    found = sorted((path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*.csv"))
    assert found == [("___/___/outside.csv", b"3"), ("a/x (2).csv", b"2"), ("a/x.csv", b"1")]
    assert (folder / "a (2)").read_bytes() == b"4"
    assert outside.read_text() == "mine"
    kept.remove(tmp_path)  # not one of its folders
    assert outside.exists()
    kept.remove(folder)
    assert not folder.exists()


def test_a_file_that_stands_where_a_folder_must_be_is_no_obstacle(tmp_path: Path) -> None:
    folder = uploads(tmp_path).keep([("a", b"1"), ("a/b.csv", b"2")])
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {"a", "a_/b.csv"}


def test_what_a_server_left_behind_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    folder = uploads(tmp_path).keep([("x", b"")])
    other = folder.with_name("not one of ours")
    other.mkdir()
    uploads(tmp_path)
    assert not folder.exists()
    assert other.exists()


def test_only_allowed_folders_can_be_opened(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    (allowed / "runs").mkdir(parents=True)
    other.mkdir()
    (allowed / "link").symlink_to(other)
    assert allowed_folder("runs", (allowed,)) == ((allowed / "runs").resolve(), "")
    assert allowed_folder(str(allowed), (allowed,))[0] == allowed.resolve()
    for text in ("../other", str(other), "/", "link", "runs/../../other", str(tmp_path / "missing"), "a\0b"):
        place, problem = allowed_folder(text, (allowed,))
        assert place is None, text
        assert problem
    assert "no such" in allowed_folder("nothing", (allowed,))[1]
    assert "log_folders" in allowed_folder(str(other), (allowed,))[1]


def test_an_allowed_folder_has_a_name_and_no_place(tmp_path: Path) -> None:
    allowed = tmp_path / "runs"
    (allowed / "a").mkdir(parents=True)
    assert allowed_folder("runs/a", (allowed,))[0] == (allowed / "a").resolve()
    assert allowed_folder("runs", (allowed,))[0] == allowed.resolve()
    assert allowed_folder("runs/../..", (allowed,))[0] is None
