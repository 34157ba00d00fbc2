"""Archives of strangers: every bad member is refused by name, and the rest is read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs.core.reader import HEAD_BYTES
from foam_viz.logs.intake.archive import Budget, kind, unpack
from foam_viz.logs.intake.limits import MEBIBYTE, Limits

SMALL = Limits(unpacked_bytes=40 * MEBIBYTE)


def unpacked(path: Path, limits: Limits = SMALL) -> tuple[dict[str, bytes], list[str]]:
    target = path.parent / "target"
    found, problems = unpack(path, path.name, path.read_bytes()[:HEAD_BYTES], target, Budget(limits))
    assert all(place.resolve().is_relative_to(target.resolve()) and not place.is_symlink() for _, place in found)
    outside = [p for p in path.parent.rglob("*") if p.is_file() and p != path and not p.is_relative_to(target)]
    assert outside == []
    return {name: place.read_bytes() for name, place in found}, [str(problem) for problem in problems]


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # unchecked, as a stranger's program writes it
            info.compress_type = compression
            archive.writestr(info, data)
    return path


def tar_member(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


HOSTILE = ["../up.csv", "/abs.csv", "a/../../up.csv", "C:/windows.csv", "..\\up.csv"]


def test_a_zip_with_hostile_names(tmp_path: Path) -> None:
    members = {**dict.fromkeys(HOSTILE, b"bad"), "run/good.csv": b"good", "dos\\good.csv": b"good"}
    found, problems = unpacked(make_zip(tmp_path / "a.zip", members))
    assert found == {"a.zip/run/good.csv": b"good", "a.zip/dos/good.csv": b"good"}
    assert len(problems) == len(HOSTILE)
    assert all("leads out of the archive" in text for text in problems)
    assert any(text.startswith("a.zip/../up.csv") for text in problems)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_with_hostile_members(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as archive:
        for name in HOSTILE[:3]:
            tar_member(archive, name, b"bad")
        tar_member(archive, "link", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        tar_member(archive, "hard", type=tarfile.LNKTYPE, linkname="run/good.csv")
        tar_member(archive, "device", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        tar_member(archive, "pipe", type=tarfile.FIFOTYPE)
        tar_member(archive, "link/through.csv", b"stays inside")
        tar_member(archive, "./run/good.csv", b"good")
    found, problems = unpacked(path)
    assert found == {"a.tar/link/through.csv": b"stays inside", "a.tar/run/good.csv": b"good"}
    assert len(problems) == 7
    assert sum("special file" in text for text in problems) == 4


def test_zip_links_encryption_and_twins(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.csv", "x")
        archive.writestr("twin.csv", "first")
        archive.writestr("twin.csv", "second")
        archive.filelist[1].flag_bits |= 1
    found, problems = unpacked(path)
    assert found == {"a.zip/twin.csv": b"first"}
    assert [text.split(":")[0] for text in problems] == ["a.zip/link", "a.zip/secret.csv", "a.zip/twin.csv"]
    assert "is encrypted" in problems[1]


def test_a_bomb_is_refused_and_its_neighbours_are_read(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"bomb": bytes(39 * MEBIBYTE), "good.csv": b"good", "next": bytes(MEBIBYTE)})
    found, problems = unpacked(path)
    assert set(found) == {"a.zip/good.csv", "a.zip/next"}
    (problem,) = problems
    assert "a.zip/bomb: unpacks to more than 200 times" in problem


def test_declared_and_real_sizes_are_limited(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(3 * MEBIBYTE)
    path = make_zip(tmp_path / "a.zip", {"big": noise, "good.csv": b"good"}, zipfile.ZIP_STORED)
    found, problems = unpacked(path, Limits(unpacked_bytes=2 * MEBIBYTE))
    assert set(found) == {"a.zip/good.csv"}
    assert "more than 2 MiB (log_unpacked_mb)" in problems[0]
    gz = tmp_path / "b" / "b.csv.gz"
    gz.parent.mkdir()
    gz.write_bytes(gzip.compress(noise))
    found, problems = unpacked(gz, Limits(unpacked_bytes=2 * MEBIBYTE))
    assert found == {}
    assert "more than 2 MiB" in problems[0]


def test_a_tar_bomb_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        tar_member(archive, "bomb", bytes(39 * MEBIBYTE))
        tar_member(archive, "good.csv", b"good")
    found, problems = unpacked(path)
    assert found == {"a.tar.gz/good.csv": b"good"}
    assert "as only bombs do" in problems[0]


def test_too_many_members(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{i}": b"x" for i in range(9)})
    found, problems = unpacked(path, Limits(files=4))
    assert len(found) == 4
    assert "more than 4 files" in problems[0]


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_single_compressed_files(tmp_path: Path, suffix: str, compress: object) -> None:
    path = tmp_path / f"m.csv{suffix}"
    path.write_bytes(compress(b"step,loss\n1,2\n"))
    assert unpacked(path) == ({"m.csv": b"step,loss\n1,2\n"}, [])


def test_a_cut_off_gz_gives_what_is_there(tmp_path: Path) -> None:
    text = b"".join(b"step %d loss %r\n" % (i, 1 / (i + 1)) for i in range(100_000))
    path = tmp_path / "m.log.gz"
    path.write_bytes(gzip.compress(text)[:-5000])
    found, problems = unpacked(path)
    assert text.startswith(found["m.log"])
    assert len(found["m.log"]) > len(text) // 2
    assert "cut off after" in problems[0]


def test_damage_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(3000)
    path = make_zip(tmp_path / "a.zip", {"bad": noise, "good": b"good"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[1000] ^= 255
    path.write_bytes(data)
    found, problems = unpacked(path)
    assert found == {"a.zip/good": b"good"}
    assert "a.zip/bad: cannot be unpacked: Bad CRC-32" in problems[0]
    path.write_bytes(data[:2000])
    found, problems = unpacked(path)
    assert found == {}
    assert "is a damaged or incomplete archive" in problems[0]


def test_a_cut_off_tar_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        tar_member(archive, "one", b"1" * 5000)
        tar_member(archive, "two", b"2" * 50_000)
    path.write_bytes(path.read_bytes()[:20_000])
    found, problems = unpacked(path)
    assert found["a.tar/one"] == b"1" * 5000
    assert len(problems) >= 1


def test_zips_that_are_no_archives_stay_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert kind((tmp_path / "a.npz").read_bytes()) == ""
    assert kind(make_zip(tmp_path / "b.pt", {"archive/data.pkl": b"x", "archive/version": b"3"}).read_bytes()) == ""
    assert kind(make_zip(tmp_path / "c.xlsx", {"[Content_Types].xml": b"x"}).read_bytes()) == ""
    assert kind(make_zip(tmp_path / "d.zip", {"m.csv": b"x"}).read_bytes()) == "zip"
