from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from foam_viz.trace import BundleError, Trace, record_batch
from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.parts import Part, PartError, decode, encode, gaps, widest

PART = "tables/steps.00000000-00000000.arrow"


@pytest.mark.parametrize("name", ["run", "run.zip"])
def test_round_trip(trace: Trace, same, tmp_path: Path, name: str):
    bundle.write(trace, tmp_path / name)
    assert bundle.is_bundle(tmp_path / name)
    same(bundle.read(tmp_path / name), trace)
    assert [path.name for path in tmp_path.iterdir()] == [name]  # nothing temporary left


def test_an_empty_trace_and_nan_survive(manifest, same, tmp_path: Path):
    bundle.write(Trace.empty(manifest), tmp_path / "empty.zip")
    same(bundle.read(tmp_path / "empty.zip"), Trace.empty(manifest))
    trace = Trace.empty(manifest)
    trace.append("steps", record_batch("steps", {"step": [1, 2, 3], "loss": [float("nan"), float("-inf"), None]}))
    bundle.write(trace, tmp_path / "nan")
    assert repr(bundle.read(tmp_path / "nan").steps["loss"].to_pylist()) == "[nan, -inf, None]"


def test_an_unpacked_zip_is_a_bundle_directory_and_a_folder_may_be_zipped(trace: Trace, same, tmp_path: Path):
    bundle.write(trace, tmp_path / "run.zip")
    zipfile.ZipFile(tmp_path / "run.zip").extractall(tmp_path / "run")
    same(bundle.read(tmp_path / "run"), trace)
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for path in (tmp_path / "run").rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    assert bundle.is_bundle(tmp_path / "folder.zip")
    same(bundle.read(tmp_path / "folder.zip"), trace)


def test_writing_again_replaces_a_bundle_and_nothing_else(trace: Trace, same, tmp_path: Path):
    target = tmp_path / "run"
    bundle.write(trace, target)
    (target / "checkpoints").mkdir()
    (target / "checkpoints" / "step-000000000010.pt").write_bytes(b"weights")
    shorter = trace.truncated(5)
    bundle.write(shorter, target)
    same(bundle.read(target), shorter)
    assert (target / "checkpoints" / "step-000000000010.pt").read_bytes() == b"weights"
    bundle.write(Trace.empty(trace.manifest.with_(run_id="other")), target)
    assert not (target / "checkpoints").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(BundleError, match="is there and is no run bundle"):
        bundle.write(trace, tmp_path / "mine")
    with pytest.raises(BundleError, match="is there and is no run bundle"):
        bundle.write(trace, tmp_path / "mine" / "thesis.txt")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    with pytest.raises(BundleError, match="cannot be written"):
        bundle.write(trace, tmp_path / "mine" / "thesis.txt" / "run.zip")


def test_a_failed_write_leaves_the_old_bundle(trace: Trace, same, tmp_path: Path, monkeypatch):
    for name in ("run", "run.zip"):
        bundle.write(trace, tmp_path / name)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle.zipfile.ZipFile, "writestr", full)
    monkeypatch.setattr(bundle, "write_atomically", full)
    for name in ("run", "run.zip"):
        with pytest.raises(BundleError, match="No space left on device"):
            bundle.write(trace.truncated(3), tmp_path / name)
        same(bundle.read(tmp_path / name), trace)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.zip"}


@pytest.mark.parametrize("table", ["steps", "checks", "snapshots", "events"])
def test_a_part_torn_at_any_byte_is_left_out_aloud(trace: Trace, tmp_path: Path, table: str):
    bundle.write(trace, tmp_path / "run")
    part = tmp_path / "run" / "tables" / Part(table, 0, 0).name
    whole = part.read_bytes()
    for size in sorted({*range(0, len(whole), 97), *range(len(whole) - 12, len(whole))}):
        part.write_bytes(whole[:size])
        read = bundle.read(tmp_path / "run")
        assert read.rows(table) == 0
        assert len(read.manifest.notes) == 1
        assert read.manifest.notes[0].startswith(f"{part.name} cannot be read, its rows are left out")
    assert sum(read.rows(name) > 0 for name in ("steps", "checks", "snapshots", "events")) == 3


def test_a_part_with_damaged_bytes_never_gives_wild_rows(trace: Trace, tmp_path: Path):
    data = bytes(encode(trace.checks.select(["step", "factor", "decision"])))
    for position in range(0, len(data), 41):
        torn = data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
        try:
            rows = decode("checks", torn)
        except ValueError:
            continue
        rows.validate(full=True)
        rows.to_pylist()


def test_a_missing_or_damaged_manifest_is_named_with_a_remedy(trace: Trace, tmp_path: Path):
    target = tmp_path / "run"
    bundle.write(trace, target)
    whole = (target / "manifest.json").read_bytes()
    for size in range(0, len(whole) - 1, 53):
        (target / "manifest.json").write_bytes(whole[:size])
        with pytest.raises(BundleError, match="is not strict JSON") as caught:
            bundle.read(target)
        assert caught.value.path == target / "manifest.json"
        assert bundle.is_bundle(target)
    (target / "manifest.json").unlink()
    with pytest.raises(BundleError, match="manifest.json: is missing.*Restore it") as caught:
        bundle.read(target)
    assert (caught.value.reason, bool(caught.value.remedy)) == (
        "is missing, so this is no run bundle or a damaged one",
        True,
    )
    with pytest.raises(BundleError, match="does not exist"):
        bundle.read(tmp_path / "nowhere")
    later = {**manifests.to_json(trace.manifest), "schema_version": 9}
    (target / "manifest.json").write_text(json.dumps(later))
    with pytest.raises(BundleError, match="9 is later than 1.*Update the program"):
        bundle.read(target)


def test_other_things_are_no_bundles(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "manifest.json").write_text('{"version": 3}')
    (tmp_path / "text.zip").write_text("no zip")
    zipfile.ZipFile(tmp_path / "other.zip", "w").writestr("a.txt", "b")
    for name in ("empty", "mlflow", "text.zip", "other.zip", "absent"):
        assert not bundle.is_bundle(tmp_path / name)
    for name in ("text.zip", "other.zip", "mlflow"):
        with pytest.raises(BundleError):
            bundle.read(tmp_path / name)


def test_wide_parts_stand_in_for_narrow_ones_and_the_other_way():
    rows = pa.table({"step": [1]})

    def read(part: Part) -> pa.Table:
        if part.width == torn:
            raise PartError("torn")
        return rows

    parts = [Part("steps", 0, 1), Part("steps", 0, 0), Part("steps", 1, 1), Part("steps", 2, 2)]
    torn = 0
    assert [part for part, _ in widest(parts, read)[0]] == [parts[0], parts[3]]
    torn = 2
    chosen, lost = widest(parts, read)
    assert [part for part, _ in chosen] == parts[1:]
    assert lost == {}
    assert widest([parts[0], parts[1]], read)[1] == {parts[0]: "torn"}
    assert gaps([Part("steps", 2, 3), Part("steps", 6, 6)]) == [(0, 1), (4, 5)]
    assert gaps([Part("steps", 0, 99_999_998)]) == []


def archive(tmp_path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]]) -> Path:
    path = tmp_path / "hazard.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


@pytest.fixture
def files(trace: Trace, tmp_path: Path) -> list[tuple[str, bytes]]:
    bundle.write(trace, tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as good:
        return [(name, good.read(name)) for name in good.namelist()]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "tables/../../evil", "C:/evil", "a\\..\\evil"])
def test_names_that_lead_out_are_refused(files, tmp_path: Path, name: str):
    path = archive(tmp_path, [*files, (name, b"x")])
    with pytest.raises(BundleError, match="leads out of the archive"):
        bundle.read(path)
    assert not bundle.is_bundle(path)


def test_links_doubles_and_locks_are_refused(files, tmp_path: Path):
    link = zipfile.ZipInfo("tables/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(BundleError, match="is a link"):
        bundle.read(archive(tmp_path, [*files, (link, b"/etc/passwd")]))
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive(tmp_path, [*files, files[0]])
    with pytest.raises(BundleError, match="two members are called 'manifest.json'"):
        bundle.read(path)
    locked = bytearray(archive(tmp_path, files).read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # the flag of the first member in the central directory
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(BundleError, match="encrypted"):
        bundle.read(tmp_path / "locked.zip")
    with pytest.raises(BundleError, match="has 2 manifests"):
        bundle.read(archive(tmp_path, [(f"{run}/{name}", data) for run in "ab" for name, data in files]))


def test_the_size_limit_holds_for_what_is_declared_and_for_what_comes(files, tmp_path: Path, same, trace: Trace):
    bomb = archive(tmp_path, [*files, ("zeros", bytes(30_000_000))])
    assert bomb.stat().st_size < 200_000
    with pytest.raises(BundleError, match="more than the 20,000,000 bytes allowed"):
        bundle.read(bomb, size_limit=20_000_000)
    same(bundle.read(bomb, size_limit=40_000_000), trace)
    # Arrow's own compression unpacks too: a small part of a million equal rows.
    rows = pa.table({"step": pa.array([7] * 2_000_000, pa.int64())})
    inner = archive(tmp_path, [files[0], (PART, bytes(encode(rows, "zstd")))])
    with pytest.raises(BundleError, match="the rows of steps take more"):
        bundle.read(inner, size_limit=10_000_000)
    lying = archive(tmp_path, [*files, ("zeros", bytes(1_000_000))]).read_bytes()
    declared = (1_000_000).to_bytes(4, "little")
    (tmp_path / "lying.zip").write_bytes(lying.replace(declared, (10).to_bytes(4, "little")))
    same(bundle.read(tmp_path / "lying.zip", size_limit=200_000), trace)  # the member that lies is never unpacked


def test_a_zip_torn_at_any_byte_is_refused_and_a_damaged_member_is_left_out(files, tmp_path: Path):
    whole = archive(tmp_path, files).read_bytes()
    for size in range(0, len(whole), 211):
        (tmp_path / "torn.zip").write_bytes(whole[:size])
        with pytest.raises(BundleError, match="not a whole zip file"):
            bundle.read(tmp_path / "torn.zip")
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        for name, data in files:
            file.writestr(name, data)
    data = bytearray(stored.getvalue())
    data[data.index(b"ARROW1") + 600] ^= 0xFF
    (tmp_path / "bits.zip").write_bytes(data)
    read = bundle.read(tmp_path / "bits.zip")
    assert "cannot be read: Bad CRC-32" in read.manifest.notes[0]
    assert sum(read.rows(table) == 0 for table in ("steps", "checks", "snapshots", "events")) == 1
