"""Own run bundles among other files, and the ranks of one run as one trace."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs import LogError, read, read_all
from foam_viz.trace.disk import bundle
from tests.logs.make_bundles import make_bundles, make_ranks, make_trace


def test_folder_zip_and_bundle_inside_of_a_larger_archive(tmp_path: Path) -> None:
    make_bundles(tmp_path / "study")
    bundle.write(make_trace("zipped"), tmp_path / "study" / "zipped.zip")
    (tmp_path / "study" / "bundle" / "checkpoints").mkdir()
    (tmp_path / "study" / "bundle" / "checkpoints" / "1.pt").write_bytes(b"weights")
    shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path / "study")
    for given in (tmp_path / "study", tmp_path / "all.zip"):
        run, zipped = read(given)
        assert (run.manifest.name, zipped.manifest.name) == ("run", "zipped")
        assert run.manifest.format == "foam_viz"
        np.testing.assert_allclose(run.values("steps", "loss"), 2.0 / np.arange(1, 21))
        assert (run.rows("checks"), run.rows("snapshots"), run.rows("events")) == (4, 4, 1)
        assert [factor.id for factor in run.manifest.factors] == ["0.block_0.0", "0.block_0.1"]
    assert "all.zip/bundle/manifest.json" in run.manifest.files
    assert "all.zip/bundle/checkpoints/1.pt" in run.manifest.files
    assert "all.zip/zipped.zip/manifest.json" in zipped.manifest.files


def test_logs_beside_a_bundle_are_not_swallowed(tmp_path: Path) -> None:
    folder = make_bundles(tmp_path)
    (folder / "mine.csv").write_text("step,loss\n1,2\n2,3\n")
    formats = {trace.manifest.format for trace in read(folder)}
    assert formats == {"foam_viz", "table"}


def test_a_damaged_manifest_is_said(tmp_path: Path) -> None:
    folder = make_bundles(tmp_path)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(LogError, match="schema_version"):
        read(folder)
    (folder / "manifest.json").unlink()
    reading = read_all([folder])
    assert reading.traces == []
    (problem,) = reading.problems
    assert "manifest.json is missing" in problem.reason


def test_a_damaged_part_costs_only_its_rows(tmp_path: Path) -> None:
    folder = make_bundles(tmp_path)
    part = next(folder.glob("tables/checks.*"))
    part.write_bytes(part.read_bytes()[:100])
    (trace,) = read(folder)
    assert (trace.rows("steps"), trace.rows("checks")) == (20, 0)
    assert any(part.name in note for note in trace.manifest.notes)


def test_ranks_of_one_run_are_joined(tmp_path: Path) -> None:
    (trace,) = read(make_ranks(tmp_path))
    ids = [factor.id for factor in trace.manifest.factors]
    assert ids == ["0.block_0.0", "1.block_0.1", "2.block_0.1"]
    np.testing.assert_array_equal(trace.values("steps", "step"), np.arange(1, 21))
    # Two checks for each of three factors, by step, and the shared factor once.
    assert list(zip(trace.values("checks", "step"), trace.values("checks", "factor"), strict=True)) == [
        (step, factor) for step in (10, 20) for factor in (0, 1, 2)
    ]
    assert trace.rows("snapshots") == 6
    assert trace.latest_snapshot(2).eigenvalues.tolist() == [3.0, 1.0]
    assert sorted(trace.values("events", "message")) == ["big-0 was changed", "big-1 was changed"]
    assert "recorded by 2 ranks, joined; the steps are those of rank 0" in trace.manifest.notes
    assert "rank 1: note of 1" in trace.manifest.notes
    assert "rank 1: 1 factors left out, which an earlier rank recorded as well" in trace.manifest.notes
    assert sum(name.endswith("manifest.json") for name in trace.manifest.files) == 2


def test_missing_and_damaged_ranks_are_said(tmp_path: Path) -> None:
    folder = make_ranks(tmp_path, ranks=3, world_size=4)
    (trace,) = read(folder)
    assert "the run had 4 ranks and only 3 are here: 0, 1, 2" in trace.manifest.notes
    broken = folder / "rank_00001" / "manifest.json"
    broken.write_text(broken.read_text().replace('"big-1"', '["big-1"]'))
    (trace,) = read(folder)
    assert [factor.id for factor in trace.manifest.factors] == ["0.block_0.0", "1.block_0.1", "3.block_0.1"]
    assert any("rank_00001" in note and "cannot be read" in note for note in trace.manifest.notes)


def test_a_bundle_at_the_top_of_a_zip(tmp_path: Path) -> None:
    folder = make_bundles(tmp_path)
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
    (trace,) = read(tmp_path / "flat.zip")
    assert trace.rows("steps") == 20
