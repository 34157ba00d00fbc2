from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from foam_viz.trace import Autosave, AutosaveError, Manifest, Trace, record_batch
from foam_viz.trace.disk import autosave as autosaves
from foam_viz.trace.disk import bundle, parts
from foam_viz.trace.disk.checkpoints import CheckpointError, usable


def steps_of(directory: Path) -> list[int]:
    return bundle.read(directory).steps["step"].to_pylist()


def train(autosave: Autosave, batches, steps: range) -> None:
    """Record every step and flush it, all tables."""
    for step in steps:
        for table, batch in batches(range(step, step + 1)).items():
            autosave.append(table, batch)
        autosave.flush()


def test_what_was_flushed_can_be_read_at_once(manifest, batches, trace: Trace, same, tmp_path: Path):
    autosave = Autosave(tmp_path / "deep" / "run", manifest)
    same(bundle.read(autosave.directory), Trace.empty(manifest))
    for table, batch in batches(range(1, 41)).items():
        autosave.append(table, batch)
    assert bundle.read(autosave.directory).rows("steps") == 0
    autosave.flush()
    autosave.flush()
    same(bundle.read(autosave.directory), trace)
    assert len(list((autosave.directory / "tables").iterdir())) == 4
    finished = manifest.with_(status="finished", notes=("done",))
    autosave.write_manifest(finished)
    assert bundle.read(autosave.directory).manifest == finished


def test_hours_of_flushes_leave_few_files(manifest, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(parts.os, "fsync", lambda handle: None)
    autosave = Autosave(tmp_path, manifest)
    for step in range(1, 701):
        extra = {"bleu": [step]} if step % 100 == 0 else {}
        autosave.append("steps", record_batch("steps", {"step": [step], "loss": [1 / step], **extra}))
        autosave.flush()
        assert len(list((tmp_path / "tables").iterdir())) <= 45
    read = bundle.read(tmp_path)
    assert read.steps["step"].to_pylist() == list(range(1, 701))
    assert read.steps["bleu"].drop_null().to_pylist() == [100, 200, 300, 400, 500, 600, 700]
    assert read.manifest.notes == ()
    names = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert names[0] == "steps.00000000-00000255.arrow"
    autosave.rewind(300)
    assert steps_of(tmp_path) == list(range(1, 301))
    autosave.rewind(0)
    assert (len(list((tmp_path / "tables").iterdir())), steps_of(tmp_path)) == (1, [])


def test_checkpoints_are_whole_and_two(manifest, batches, tmp_path: Path):
    autosave = Autosave(tmp_path, manifest)
    assert autosave.checkpoints() == []
    for step in (10, 20, 30):
        autosave.append("steps", batches(range(step, step + 1))["steps"])
        autosave.checkpoint(lambda file, step=step: file.write(b"%d" % step), step)
        assert steps_of(tmp_path)[-1] == step  # its rows are on the disk before it
    assert [found.step for found in autosave.checkpoints()] == [30, 20]
    newest = autosave.checkpoints()[0]
    newest.verify()
    assert (newest.path.read_bytes(), newest.step) == (b"30", 30)

    def fails(file) -> None:
        file.write(b"half")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        autosave.checkpoint(fails, 40)
    (tmp_path / "checkpoints" / "step-000000000050.pt.tmp").write_bytes(b"torn")
    assert usable(tmp_path)[0] == newest
    assert Autosave(tmp_path, manifest).checkpoints()[0] == newest
    newest.path.write_bytes(b"31")
    with pytest.raises(CheckpointError, match="is damaged"):
        newest.verify()
    assert not list(tmp_path.rglob("*.tmp"))


def test_rewind_drops_rows_written_and_not_yet_written(manifest, batches, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(autosaves, "MERGE_COUNT", 4)
    autosave = Autosave(tmp_path, manifest)
    train(autosave, batches, range(1, 20))
    autosave.checkpoint(lambda file: None, 10)
    autosave.checkpoint(lambda file: None, 15)
    autosave.append("steps", batches(range(20, 25))["steps"])
    autosave.rewind(12)
    assert [found.step for found in autosave.checkpoints()] == [10]
    read = bundle.read(tmp_path)
    assert read.steps["step"].to_pylist() == list(range(1, 13))
    assert read.rows("checks") == 36
    assert max(read.snapshots["step"].to_pylist()) == 12
    train(autosave, batches, range(13, 31))
    assert steps_of(tmp_path) == list(range(1, 31))
    autosave = Autosave(tmp_path, manifest)
    autosave.rewind(0)
    assert steps_of(tmp_path) == []
    assert not (tmp_path / "rewind.json").exists()


def test_a_kill_at_any_rename_or_removal_loses_nothing_flushed(manifest, batches, tmp_path: Path, monkeypatch):
    """Train to 11, go back to the checkpoint of 7, train on to 15; the disk is copied before each operation on it."""
    monkeypatch.setattr(autosaves, "MERGE_COUNT", 3)
    monkeypatch.setattr(parts.os, "fsync", lambda handle: None)
    directory = tmp_path / "run"
    copies: list[tuple[Path, int, bool]] = []
    flushed, rewinding = 0, False

    def copying(operation):
        def copy_first(*arguments, **options):
            copies.append((tmp_path / str(len(copies)), flushed, rewinding))
            shutil.copytree(directory, copies[-1][0])
            return operation(*arguments, **options)

        return copy_first

    def few(steps: range) -> dict[str, object]:
        return {table: batch for table, batch in batches(steps).items() if table in ("steps", "checks")}

    autosave = Autosave(directory, manifest)
    with monkeypatch.context() as patch:
        patch.setattr(parts.os, "replace", copying(os.replace))
        patch.setattr(Path, "unlink", copying(Path.unlink))
        for step in range(1, 12):
            train(autosave, few, range(step, step + 1))
            flushed = step
            if step == 7:
                autosave.checkpoint(lambda file: file.write(b"7"), 7)
        rewinding = True
        autosave.rewind(7)
        rewinding, flushed = False, 7
        for step in range(8, 16):
            train(autosave, few, range(step, step + 1))
            flushed = step

    for copy, flushed, rewinding in copies:
        read = bundle.read(copy)
        found, checked = read.steps["step"].to_pylist(), sorted(set(read.checks["step"].to_pylist()))
        assert read.manifest.notes == ()
        assert found == list(range(1, len(found) + 1)), "rows lost, doubled or out of order"
        assert checked == list(range(1, len(checked) + 1))
        if rewinding:
            assert len(found) == len(checked), "a rewind is one event for every table"
            assert len(found) in (7, 11)
        else:
            # The step that was being flushed may be there or not, for each table apart.
            assert flushed <= len(checked) <= len(found) <= flushed + 1
        again = Autosave(copy, manifest)
        again.rewind(len(checked))
        assert steps_of(copy) == list(range(1, len(checked) + 1))
        train(again, few, range(len(checked) + 1, len(checked) + 2))
        assert steps_of(copy) == list(range(1, len(checked) + 2))
        assert not list(copy.rglob("*.tmp"))
        assert not (copy / "rewind.json").exists()
    assert len(copies) > 60
    assert sum(rewinding for _, _, rewinding in copies) > 5


def test_a_torn_last_part_costs_its_rows_only_and_is_told(manifest, batches, tmp_path: Path):
    autosave = Autosave(tmp_path, manifest)
    train(autosave, batches, range(1, 6))
    last = tmp_path / "tables" / "steps.00000004-00000004.arrow"
    whole = last.read_bytes()
    for size in range(0, len(whole), 149):
        last.write_bytes(whole[:size])
        read = bundle.read(tmp_path)
        assert read.steps["step"].to_pylist() == [1, 2, 3, 4]
        assert read.rows("checks") == 15
        assert len(read.manifest.notes) == 1
        assert last.name in read.manifest.notes[0]
    # A writer that comes back keeps the damage in sight and numbers on.
    again = Autosave(tmp_path, read.manifest)
    again.append("steps", batches(range(6, 7))["steps"])
    again.flush()
    assert steps_of(tmp_path) == [1, 2, 3, 4, 6]
    assert len(bundle.read(tmp_path).manifest.notes) == 1
    last.unlink()
    assert any("is missing" in note for note in bundle.read(tmp_path).manifest.notes)


def test_leftovers_of_any_kind_are_passed_over(manifest, batches, tmp_path: Path):
    autosave = Autosave(tmp_path, manifest)
    train(autosave, batches, range(1, 4))
    narrow = (tmp_path / "tables" / "steps.00000001-00000001.arrow").read_bytes()
    merged = bundle.read(tmp_path).steps
    (tmp_path / "tables" / "steps.00000000-00000002.arrow").write_bytes(parts.encode(merged))
    (tmp_path / "tables" / "steps.00000003-00000003.arrow.tmp").write_bytes(narrow[:100])
    (tmp_path / "manifest.json.tmp").write_text("{")
    (tmp_path / "tables" / ".DS_Store").write_bytes(b"x")
    assert steps_of(tmp_path) == [1, 2, 3]
    # The merged part torn, the narrow ones count again.
    (tmp_path / "tables" / "steps.00000000-00000002.arrow").write_bytes(parts.encode(merged)[:500])
    read = bundle.read(tmp_path)
    assert (read.steps["step"].to_pylist(), read.manifest.notes) == ([1, 2, 3], ())
    (tmp_path / "tables" / "steps.00000000-00000002.arrow").write_bytes(parts.encode(merged))
    again = Autosave(tmp_path, manifest)
    names = {path.name for path in (tmp_path / "tables").glob("steps*")}
    assert names == {"steps.00000000-00000002.arrow"}
    train(again, batches, range(4, 6))
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]


def test_a_reader_beside_a_live_writer_sees_whole_prefixes(manifest, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(autosaves, "MERGE_COUNT", 2)
    autosave = Autosave(tmp_path, manifest)
    stop = threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            autosave.append("steps", record_batch("steps", {"step": [step]}))
            autosave.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reads, until, found = 0, time.monotonic() + 20, []
        while (reads < 20 or len(found) < 40) and time.monotonic() < until:
            read = bundle.read(tmp_path)
            found = read.steps["step"].to_pylist()
            assert read.manifest.notes == ()
            assert found == list(range(1, len(found) + 1))
            reads += 1
    finally:
        stop.set()
        writer.join()
    assert reads >= 20
    assert len(found) >= 40


def test_a_killed_process_leaves_a_bundle_that_opens(tmp_path: Path):
    program = """
import sys
from foam_viz.trace import Autosave, Manifest, record_batch
autosave = Autosave(sys.argv[1], Manifest(run_id="r", name="r"))
for step in range(1, 10**6):
    autosave.append("steps", record_batch("steps", {"step": [step]}))
    autosave.flush()
    if step % 20 == 0:
        autosave.checkpoint(lambda file: file.write(bytes(10**6)), step)
    print(step, flush=True)
"""
    for attempt in range(3):
        directory = tmp_path / str(attempt)
        arguments = [sys.executable, "-c", program, str(directory)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        process.stdout.readline()
        time.sleep(random.uniform(0.05, 0.3))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        read = bundle.read(directory)
        found = read.steps["step"].to_pylist()
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= int(told[-1] if told else 1)
        assert read.manifest.notes == ()
        for checkpoint in usable(directory):
            checkpoint.verify()
            assert checkpoint.path.stat().st_size == 10**6
            assert checkpoint.step <= len(found)


def test_no_place_to_write_says_what_and_what_to_do(manifest, batches, tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AutosaveError, match="cannot be written: Not a directory.*or choose another") as caught:
        Autosave(tmp_path / "file" / "run", manifest)
    assert isinstance(caught.value, OSError)
    assert tmp_path / "file" / "run" in (caught.value.path, *caught.value.path.parents)
    assert caught.value.reason and caught.value.remedy
    with pytest.raises(AutosaveError):
        Autosave(tmp_path / "file", manifest)

    autosave = Autosave(tmp_path / "run", manifest)
    autosave.append("steps", batches(range(1, 3))["steps"])

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parts.os, "replace", full)
        for action in (
            autosave.flush,
            lambda: autosave.write_manifest(manifest),
            lambda: autosave.checkpoint(lambda file: None, 2),
            lambda: autosave.rewind(5),
        ):
            with pytest.raises(AutosaveError, match="No space left on device"):
                action()
    assert not list((tmp_path / "run").rglob("*.tmp"))
    autosave.flush()  # room again: nothing was lost
    assert steps_of(tmp_path / "run") == [1, 2]


def test_a_directory_of_another_run_or_a_later_version_is_left_alone(manifest: Manifest, batches, tmp_path: Path):
    train(Autosave(tmp_path, manifest), batches, range(1, 3))
    with pytest.raises(AutosaveError, match="holds another run, 'run'"):
        Autosave(tmp_path, manifest.with_(run_id="0" * 32))
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(AutosaveError, match="2 is later than 1"):
        Autosave(tmp_path, manifest)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(AutosaveError, match="manifest.json: is missing"):
        Autosave(tmp_path, manifest)
    (tmp_path / "manifest.json").write_text(text)
    assert steps_of(tmp_path) == [1, 2]
