"""What a user gives, as a flat list of files with good names."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from foam_viz.logs.core.reader import HEAD_BYTES
from foam_viz.logs.intake.files import gather, natural, signature
from foam_viz.logs.intake.limits import Limits


def write(folder: Path, *names: str, text: str = "content") -> Path:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def gathered(scratch: Path, *paths: Path, **options: object) -> tuple[list[str], list[str]]:
    files, problems = gather(paths, scratch / "scratch", **options)
    return [file.name for file in files], [str(problem) for problem in problems]


def test_a_folder_starts_the_names_of_its_files(tmp_path: Path) -> None:
    write(tmp_path / "study", "trial_10/m.csv", "trial_2/m.csv", "top.log")
    names, problems = gathered(tmp_path, tmp_path / "study")
    assert names == ["study/top.log", "study/trial_2/m.csv", "study/trial_10/m.csv"]
    assert problems == []


def test_a_file_alone_is_its_name_and_more_keep_what_tells_them_apart(tmp_path: Path) -> None:
    write(tmp_path, "a/m.csv", "b/m.csv", "b/deep/n.csv")
    assert gathered(tmp_path, tmp_path / "a/m.csv")[0] == ["m.csv"]
    names, _ = gathered(tmp_path, tmp_path / "a/m.csv", tmp_path / "b/m.csv", tmp_path / "b/deep", tmp_path / "a/m.csv")
    assert names == ["a/m.csv", "b/deep/n.csv", "b/m.csv"]


def test_heads_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"x" * (HEAD_BYTES + 5))
    (file,), _ = gather([tmp_path / "long.txt"], tmp_path / "scratch")
    assert (len(file.head), file.size, file.path) == (HEAD_BYTES, HEAD_BYTES + 5, tmp_path / "long.txt")


def test_rubbish_is_passed_over_silently(tmp_path: Path) -> None:
    rubbish = ["__MACOSX/._m.csv", ".DS_Store", "run/._m.csv", "run/Thumbs.db", ".git/config"]
    write(tmp_path / "d", *rubbish, "run/m.csv", "run/.hidden.log")
    assert gathered(tmp_path, tmp_path / "d") == (["d/run/.hidden.log", "d/run/m.csv"], [])


@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
def test_links_and_special_files_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "d", "m.csv")
    os.symlink("/etc/passwd", tmp_path / "d/link")
    os.symlink(tmp_path, tmp_path / "d/loop")
    os.symlink("nowhere", tmp_path / "d/dangling")
    os.mkfifo(tmp_path / "d/pipe")
    names, problems = gathered(tmp_path, tmp_path / "d")
    assert names == ["d/m.csv"]
    assert len(problems) == 4
    assert "d/link: is a link, which is not followed (give the file that it points to)" in problems
    assert any(text.startswith("d/pipe: is no regular file") for text in problems)
    assert gathered(tmp_path, Path("/dev/zero"))[1] == ["zero: is no regular file (a device, a pipe or a socket)"]


def test_what_is_no_log_yet_is_reported(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"
    write(tmp_path / "d", "m.csv", text=pointer)
    write(tmp_path / "d", "empty.csv", "run.db-wal", text="")
    names, problems = gathered(tmp_path, tmp_path / "d", tmp_path / "absent")
    assert names == []
    assert any(text.startswith("d/m.csv: is a Git-LFS pointer") and "git lfs pull" in text for text in problems)
    assert any(text.startswith("d/empty.csv: is empty") for text in problems)
    assert f"{tmp_path / 'absent'}: there is no such file or folder (check the path)" in problems
    assert len(problems) == 3


def test_names_of_other_encodings_can_be_written(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    names, _ = gathered(tmp_path, tmp_path)
    assert names[0].endswith("/caf?.csv")


def test_too_many_files(tmp_path: Path) -> None:
    write(tmp_path / "d", *(f"{i}.csv" for i in range(8)))
    names, problems = gathered(tmp_path, tmp_path / "d", limits=Limits(files=5))
    assert names == [f"d/{i}.csv" for i in range(5)]
    assert problems == ["d: its further files are not read: more than 5 files (give fewer files at a time)"]


def test_archives_inside_folders_and_archives(tmp_path: Path) -> None:
    write(tmp_path / "d", "m.csv")
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.write(tmp_path / "d/m.csv", "run/m.csv")
        archive.writestr("__MACOSX/._m.csv", "rubbish")
    with zipfile.ZipFile(tmp_path / "d/outer.zip", "w") as archive:
        archive.write(inner, "inner.zip")
        archive.writestr("n.csv", "content")
    seen: list[str] = []
    names, problems = gathered(tmp_path, tmp_path / "d", watch=seen.append)
    assert names == ["d/m.csv", "d/outer.zip/inner.zip/run/m.csv", "d/outer.zip/n.csv"]
    assert problems == []
    assert seen == ["d/outer.zip", "d/outer.zip/inner.zip"]
    assert gathered(tmp_path / "2", tmp_path / "d", skip=frozenset(["d/outer.zip"]))[0] == ["d/m.csv"]
    shallow, problems = gathered(tmp_path / "3", tmp_path / "d", limits=Limits(depth=1))
    assert shallow == ["d/m.csv", "d/outer.zip/n.csv"]
    assert "inner.zip: is an archive inside of 1 others" in problems[0]


def test_natural_order() -> None:
    assert sorted(["a10", "a9", "b", "a", "10", "9"], key=natural) == ["9", "10", "a", "a9", "a10", "b"]


def test_signatures_differ_by_name_size_and_time(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    found = {signature([tmp_path])}
    os.utime(tmp_path / "a", ns=(1, 1))
    found.add(signature([tmp_path]))
    (tmp_path / "a").rename(tmp_path / "c")
    found.add(signature([tmp_path]))
    write(tmp_path, "b", text="longer content")
    found.add(signature([tmp_path]))
    assert len(found) == 4


@pytest.mark.parametrize("single", ["runs", Path("runs")])
def test_one_path_instead_of_several_is_refused(tmp_path: Path, single: str | Path) -> None:
    with pytest.raises(TypeError, match="a sequence of paths"):
        gather(single, tmp_path)
