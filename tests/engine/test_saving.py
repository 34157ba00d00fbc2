"""What survives on the disk: damage, a full disk, a kill between any two operations, two writers, a small limit."""

from __future__ import annotations

import builtins
import errno
import json
import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz import cli
from foam_viz.engine import store
from foam_viz.engine.server.hub import Hub
from foam_viz.engine.wire.commands import Priority
from foam_viz.engine.worker import saver as savers
from foam_viz.engine.worker import states, worker
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.saver import Saver
from foam_viz.engine.worker.to_save import Opening, States
from foam_viz.settings import Settings
from foam_viz.trace import Manifest, record_batch
from foam_viz.trace.disk import autosave, bundle, parts
from foam_viz.trace.disk.checkpoints import usable
from foam_viz.trace.disk.thin import thinned
from tests.engine.conftest import experiment, until
from tests.engine.test_group import VIEW, advance, killed, lane, save

LANES = 2


def manifests() -> list[Manifest]:
    return [Manifest(run_id=f"run-{lane}", name="run") for lane in range(LANES)]


def lanes(folder: Path) -> list[Path]:
    return [store.lane_directory(folder, lane) for lane in range(LANES)]


def rows(steps: range) -> list[dict]:
    batch = record_batch("steps", {"step": list(steps), "loss": [1 / step for step in steps]})
    return [{"steps": bundle.pa.Table.from_batches([batch])} for _ in range(LANES)]


def state(step: int) -> States:
    return States(step, [partial(states.write, {"step": step, "lane": lane}) for lane in range(LANES)], 1000, 2)


def opened(folder: Path, step: int | None = None) -> Saver:
    made = Saver(folder, limit_mb=100)
    made.open(Opening({"task": "none"}, manifests(), step))
    return made


def train(saver: Saver, first: int, last: int, after: Callable[[int], None] = lambda step: None) -> None:
    """Rows of every step and a checkpoint every five steps, each on the disk before the next."""
    for step in range(first, last + 1):
        saver.add(rows(range(step, step + 1)), step)
        saver.write(state(step) if step % 5 == 0 else None)
        settle(saver)
        after(step)


def settle(saver: Saver) -> None:
    """Waits until everything asked for is on the disk, also where that takes several tries."""
    end = time.monotonic() + 20
    while not saver.wait():
        assert time.monotonic() < end
        time.sleep(0.001)


def steps_of(folder: Path, branch: int | None = None) -> list[list[int]]:
    return [bundle.read(lane, branch=branch).steps["step"].to_pylist() for lane in lanes(folder)]


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def group(settings: Settings) -> Group:
    made = Group(VIEW, experiment("foam", "adamw"), settings, "cpu")
    made.open_autosave()
    for _ in range(2):
        advance(made, 10)
        made.drain()
        save(made)
    killed(made)
    return made


def reopened(settings: Settings) -> Group:
    again = Group(VIEW, experiment("foam", "adamw"), settings, "cpu")
    again.restore()
    return again


@pytest.fixture
def folder(settings: Settings) -> Path:
    return store.run_directory(settings.data_directory, VIEW)


# --- opening


def test_opening_a_link_writes_nothing(group: Group, settings: Settings, folder: Path) -> None:
    """Without the control key nobody trains; whatever else the engine does with the run, its folder stays as it is."""
    before = content(folder)
    for damage in (lambda: None, lambda: usable(lanes(folder)[0])[0].path.write_bytes(b"torn")):
        damage()
        before = content(folder)
        again = reopened(settings)
        again.drain()
        again.save(time.monotonic(), everything=True)
        again.shared_machine = True
        again.save(time.monotonic() + 5)
        again.close()
        assert content(folder) == before


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:99]), Path.unlink])
def test_one_lane_without_a_readable_checkpoint_costs_no_rows(
    group: Group,
    settings: Settings,
    folder: Path,
    damage: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for checkpoint in usable(lanes(folder)[1]):
        damage(checkpoint.path)
    again = reopened(settings)
    told = again.saving.notice
    assert again.step == 0
    assert "training goes on from step 0" in again.saving.notice
    assert steps_of(folder) == [list(range(1, 21))] * 2
    advance(again, 3)
    again.close()
    assert steps_of(folder) == [[1, 2, 3]] * 2
    assert steps_of(folder, branch=0) == [list(range(1, 21))] * 2
    # The page names the command that shows them; here it is given from the data directory.
    command = re.search(r"`python -m foam_viz (inspect .*?)`", told)[1].split()
    assert command[-2:] == ["--branch", "0"]
    monkeypatch.chdir(settings.data_directory)
    assert cli.main([*command, "--json"]) == 0
    assert [entry["last_step"] for entry in json.loads(capsys.readouterr().out)] == [20, 20]
    assert cli.main(command[:-2]) == 0
    assert capsys.readouterr().out.count("steps 1 to 3") == 2
    assert cli.main([*command[:-1], "7"]) == 0
    assert capsys.readouterr().out.count("there is no branch 7; this is the newest, 1") == 2
    # And again from the newest of the new branch: the checkpoints that lane 1 had at steps 10 and 20 are of the old.
    once_more = reopened(settings)
    assert (once_more.step, once_more.saving.notice) == (3, "")


def test_the_newest_step_that_every_lane_has_is_taken(group: Group, settings: Settings, folder: Path) -> None:
    usable(lanes(folder)[1])[0].path.unlink()
    again = reopened(settings)
    assert again.step == 10
    assert "training goes on from step 10" in again.saving.notice
    advance(again, 5)
    again.close()
    assert steps_of(folder) == [list(range(1, 16))] * 2
    assert steps_of(folder, branch=0) == [list(range(1, 21))] * 2
    losses = [bundle.read(lanes(folder)[0], branch=branch).values("steps", "loss") for branch in (0, None)]
    assert np.array_equal(losses[0][:15], losses[1])


@pytest.mark.parametrize("name", ["manifest.json", "checkpoints", "tables"])
def test_what_is_missing_of_a_lane_is_made_again(group: Group, settings: Settings, folder: Path, name: str) -> None:
    path = lanes(folder)[0] / name
    path.unlink() if path.is_file() else shutil.rmtree(path)
    again = reopened(settings)
    advance(again, 4)
    again.close()
    assert again.saving.problem == ""
    step = again.step
    assert steps_of(folder)[1] == list(range(1, step + 1))


def test_a_folder_that_cannot_be_written_to_is_read_all_the_same(
    group: Group, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    for module in (parts, savers):
        monkeypatch.setattr(module, "open", refuse, raising=False)
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    again = reopened(settings)
    assert (again.step, again.saving.problem) == (20, "")
    advance(again, 2)
    again.drain()
    again.save(time.monotonic(), everything=True)
    until(lambda: again.saving.problem)
    assert "Autosave is off since step 22: Read-only file system" in again.saving.problem
    assert str(settings.data_directory) not in again.saving.problem


# --- a kill, a full disk


def test_a_kill_between_any_two_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is copied before each operation on it; every copy goes on where every lane has its state."""
    monkeypatch.setattr(autosave, "MERGE_COUNT", 3)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(savers, "_SIZE_SECONDS", 1e9)
    folder = tmp_path / "run"
    complete = saved = 0
    copies: list[tuple[Path, int, int]] = []

    def copying(operation):
        def copy_first(*arguments, **options):
            copies.append((tmp_path / str(len(copies)), complete, saved))
            if folder.exists():
                shutil.copytree(folder, copies[-1][0])
            return operation(*arguments, **options)

        return copy_first

    def after(step: int) -> None:
        nonlocal complete, saved
        saved, complete = step, step if step % 5 == 0 else complete

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", copying(os.replace))
        patch.setattr(Path, "unlink", copying(Path.unlink))
        saver = opened(folder)
        train(saver, 1, 11, after)
        saver._release()
        complete, saved = 5, 11
        usable(lanes(folder)[0])[0].path.write_bytes(b"torn")  # step 10 of one lane
        saver = opened(folder, 5)
        train(saver, 6, 12, after)
        saver._release()

    assert len(copies) > 60
    for copy, complete, saved in copies:
        found = states.newest(lanes(copy)) if copy.exists() else states.Restored(0, (), "")
        assert found.step >= complete
        assert [int(state["step"]) for state in found.states] in ([], [found.step] * LANES)
        if not saved:
            continue
        # Everything that was on the disk can still be read there, in one branch or another.
        kept = [set().union(*(steps_of(copy, branch)[lane] for branch in (0, None))) for lane in range(LANES)]
        assert all(set(range(1, saved + 1)) <= lane for lane in kept)
        again = opened(copy, found.step)
        train(again, found.step + 1, found.step + 2)
        again._release()
        assert steps_of(copy) == [list(range(1, found.step + 3))] * LANES
        assert all(bundle.read(lane).manifest.notes == () for lane in lanes(copy))


class _Disk:
    """Counts writes, and lets one of them, or all from one on, fail for want of space."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
        self.writes = 0
        self.failed = False
        self._fails = fails
        opening = builtins.open

        def checked(operation):
            def check_first(*arguments, **options):
                self.count()
                return operation(*arguments, **options)

            return check_first

        def open_checked(path, mode="r", *more, **options):
            file = opening(path, mode, *more, **options)
            if "w" in mode:
                self.count()
            return file

        patch.setattr(parts, "open", open_checked, raising=False)
        for name in ("replace", "fsync"):
            patch.setattr(os, name, checked(getattr(os, name)))
        patch.setattr(Path, "mkdir", checked(Path.mkdir))

    def count(self) -> None:
        self.writes += 1
        if self._fails(self.writes):
            self.failed = True
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_at_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write fails, is said, and is tried again until it succeeds: nothing is lost and nothing is there twice."""
    monkeypatch.setattr(autosave, "MERGE_COUNT", 3)
    monkeypatch.setattr(savers, "FIRST_RETRY_SECONDS", 0.002)
    monkeypatch.setattr(savers, "_SIZE_SECONDS", 1e9)
    monkeypatch.setattr(os, "fsync", lambda handle: None)

    def scenario(folder: Path, fails: Callable[[int], bool]) -> tuple[_Disk, Saver]:
        with monkeypatch.context() as patch:
            disk = _Disk(patch, fails)
            saver = opened(folder)
            for step in range(1, 11):
                saver.add(rows(range(step, step + 1)), step)
                saver.write(state(step) if step % 5 == 0 else None)
                settle(saver)
                found = states.newest(lanes(folder))
                assert found.step == step // 5 * 5
            saver._release()
        return disk, saver

    total, _ = scenario(tmp_path / "whole", lambda _: False)
    assert total.writes > 60
    for failing in range(1, total.writes + 1):
        folder = tmp_path / str(failing)
        disk, saver = scenario(folder, lambda write, failing=failing: failing <= write < failing + 2)
        assert disk.failed
        assert saver.problem == ""
        assert "Autosave is on again: it was off from step" in saver.notice
        assert steps_of(folder) == [list(range(1, 11))] * LANES
        assert all(bundle.read(lane).manifest.notes == () for lane in lanes(folder))
        assert not list(folder.rglob("*.tmp"))
        shutil.rmtree(folder)


def test_a_disk_that_stays_full_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(savers, "FIRST_RETRY_SECONDS", 0.005)
    monkeypatch.setattr(savers, "LAST_RETRY_SECONDS", 0.01)
    saver = opened(tmp_path / "run")
    train(saver, 1, 12)
    full = True
    with monkeypatch.context() as patch:
        _Disk(patch, lambda _: full)
        for step in range(13, 31):
            saver.add(rows(range(step, step + 1)), step)
            saver.write(state(step) if step % 5 == 0 else None)
        until(lambda: saver.problem)
        assert "Autosave is off since step" in saver.problem
        assert "No space left on device" in saver.problem
        assert states.newest(lanes(tmp_path / "run")).step == 10
        assert steps_of(tmp_path / "run") == [list(range(1, 13))] * LANES
        full = False
        until(lambda: not saver.problem)
    assert saver.wait()
    assert "to step 30" in saver.notice
    assert states.newest(lanes(tmp_path / "run")).step == 30
    assert steps_of(tmp_path / "run") == [list(range(1, 31))] * LANES


# --- two writers


def test_without_memory_for_a_thread_the_end_of_a_run_writes_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that finds none never says that it has started, and the engine would wait for it for ever."""

    def none(size: int) -> None:
        raise MemoryError(f"no {size:,} bytes")

    monkeypatch.setattr(savers.memory, "require", none)
    saver = Saver(tmp_path / "run", limit_mb=100)
    with pytest.raises(MemoryError):
        saver.open(Opening({"task": "none"}, manifests(), None))
    with suppress(MemoryError):  # whether it asks for the thread depends on how much waits
        saver.add(rows(range(1, 4)), 3)
    saver.close()
    assert saver.closed and saver._thread is None
    assert bundle.read(lanes(tmp_path / "run")[0]).values("steps", "step").tolist() == [1, 2, 3]


def test_a_second_writer_waits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savers, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(savers, "LAST_RETRY_SECONDS", 0.02)
    first = opened(tmp_path / "run")
    train(first, 1, 5)
    second = opened(tmp_path / "run", 5)
    second.add(rows(range(6, 8)), 7)
    second.write()
    until(lambda: second.problem)
    assert "another server trains this run" in second.problem
    train(first, 6, 6)
    assert steps_of(tmp_path / "run") == [list(range(1, 7))] * LANES
    first.close()
    until(lambda: not second.problem)
    second.close()
    assert steps_of(tmp_path / "run") == [list(range(1, 8))] * LANES
    assert steps_of(tmp_path / "run", branch=0) == [list(range(1, 7))] * LANES


# --- size


def test_a_run_over_its_limit_loses_old_branches_then_every_second_old_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(savers, "_SIZE_SECONDS", 0.0)
    saver = Saver(tmp_path / "run", limit_mb=1)
    saver.open(Opening({}, manifests(), None))
    rng = np.random.default_rng(0)

    def many(first: int, last: int) -> None:
        for start in range(first, last, 1000):
            steps = np.arange(start, min(start + 1000, last + 1))
            batch = record_batch("steps", {"step": steps, "loss": rng.normal(size=len(steps))})
            saver.add([{"steps": bundle.pa.Table.from_batches([batch])}] * LANES, int(steps[-1]))
            saver.write()
            assert saver.wait()

    many(1, 10_000)
    saver.write(state(10_000))
    assert saver.wait()
    saver._release()
    saver = Saver(tmp_path / "run", limit_mb=1)
    saver.open(Opening({}, manifests(), 5000))
    many(5001, 20_000)
    assert bundle.read(lanes(tmp_path / "run")[0]).rows("steps") == 20_000
    assert len(steps_of(tmp_path / "run", branch=0)[0]) == 10_000
    many(20_001, 40_000)
    assert steps_of(tmp_path / "run", branch=0) == steps_of(tmp_path / "run")
    many(40_001, 100_000)
    kept = steps_of(tmp_path / "run")[0]
    assert (kept[0], kept[-1]) == (1, 100_000)
    assert kept == sorted(set(kept))
    assert kept[-5000:] == list(range(95_001, 100_001))
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.arrow"))
    assert size < 1.1 * 2**20
    told = [message for _, _, message in saver.take_thinned()]
    assert "trained again after a restart were deleted" in told[0]
    assert "were thinned, to stay within the 1 MiB that a run may take (run_mb)" in told[-1]
    saver.close()


def test_thinning_is_an_event_of_every_lane(group: Group, settings: Settings, folder: Path) -> None:
    again = reopened(settings)
    again.saving.saver._tell_thinned("The saved rows up to step 10 were thinned.")
    advance(again, 1)
    again.close()
    for path in lanes(folder):
        (event,) = bundle.read(path).events.to_pylist()
        assert (event["kind"], event["message"]) == ("rows-thinned", "The saved rows up to step 10 were thinned.")


def test_large_states_are_saved_less_often_and_too_large_ones_never(settings: Settings) -> None:
    group = Group(VIEW, experiment("adamw"), settings, "cpu")
    group.open_autosave()
    advance(group, 2)
    group.drain()
    for run in group.lanes:
        run.state = lambda: {"weights": torch.zeros(10_000_000)}  # 40 MB: two seconds at 20 MB/s
    now = time.monotonic()
    group.save(now + 1.5)
    assert group.saving.saver.wait()
    assert "takes 38 MiB: one is saved about every 2 s" in group.saving.notice
    advance(group, 1)
    group.drain()
    assert group.saving.checkpoint(now + 3, False, lambda: False) is not None
    group.saving._settings = Settings(data_directory=settings.data_directory, run_mb=16)
    advance(group, 1)
    group.drain()
    assert group.saving.checkpoint(now + 9, False, lambda: False) is None
    assert "38 MiB, are over the 16 MiB that a run may take (run_mb), so they are not saved" in group.saving.notice
    group.close()


def test_of_many_runs_each_is_saved_less_often(settings: Settings, folder: Path) -> None:
    """Thirty runs would otherwise spend a third of their engine on being saved."""
    group = Group(VIEW, experiment("adamw"), settings, "cpu")
    group.open_autosave()
    group.start()
    now = time.monotonic()
    group.save(now, everything=True)
    for stretch, written in ((5.0, False), (1.0, True)):
        advance(group, 1)
        group.drain()
        group.save(now + settings.part_seconds, stretch=stretch)
        assert group.saving.saver.wait()
        assert (bundle.read(lane(settings)).rows("steps") > 0) == written
    group.close()


class _Asked:
    """A group that tells what it was asked."""

    view_id = VIEW

    def __init__(self) -> None:
        self.stretches: list[float] = []

    def save(self, _now: float, *, stretch: float, **_others: object) -> None:
        self.stretches.append(stretch)


@pytest.mark.parametrize(("training", "stretch"), [(1, 1.0), (4, 1.0), (30, 7.5)])
def test_how_much_less_often_grows_with_the_runs_that_train(
    training: int, stretch: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker._Held, "trains", True)
    mine = worker.Worker.__new__(worker.Worker)
    mine._orders, mine._busy = queue.Queue(), None
    mine._held = {f"{i}": worker._Held(_Asked(), Priority.WATCHED) for i in range(training)}
    mine._save_due()
    assert [held.group.stretches for held in mine._held.values()] == [[stretch]] * training


def test_steps_made_one_after_another_do_not_wait_for_the_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes a second for each write holds no step up, and no state is taken between quick steps."""
    stuck = threading.Event()
    write = parts.write_atomically

    def slow(*arguments, **options):
        stuck.wait(30)
        write(*arguments, **options)

    for module in ("autosave", "part_files", "checkpoints"):
        monkeypatch.setattr(f"foam_viz.trace.disk.{module}.write_atomically", slow)
    group = Group(VIEW, experiment("foam", "adamw"), Settings(data_directory=settings.data_directory), "cpu")
    monkeypatch.setattr(states, "copied", lambda *_: pytest.fail("a state was taken between two steps"))
    group.open_autosave()
    now = time.monotonic()
    for step in range(1, 21):
        group.until("step")
        group.advance(now)
        group.drain()
        group.save(now)  # however long the steps really took: the clock stands still
        assert group.step == step
    assert not group.saving.saver.wait(0)
    assert not list(lane(settings).rglob("*.arrow"))
    monkeypatch.undo()
    stuck.set()
    group.close()
    assert bundle.read(lane(settings)).rows("steps") == 20
    assert states.newest([lane(settings, number) for number in (0, 1)]).step == 20


def test_a_link_without_its_key_leaves_a_damaged_run_as_it_is(group: Group, settings: Settings, folder: Path) -> None:
    """Through the whole service: the page tells what happened, and the folder is the same before, during and after."""
    store.write_json(folder / store.CONTROL, {"key_sha256": store.fingerprint("k" * 32), "device": "cpu"})
    for checkpoint in usable(lanes(folder)[1]):
        checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:99])
    before = content(folder)
    hub = Hub(settings)
    try:
        run = hub.find(VIEW, session="a stranger")
        until(lambda: run.header, 120)
        assert "training goes on from step 0" in run.header["autosave_notice"]
        assert not hub.controls(VIEW, None)
        time.sleep(1)
        assert content(folder) == before
    finally:
        hub.close()
    assert content(folder) == before


def test_what_waits_for_a_full_disk_has_a_limit_and_totals_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(savers, "_WAITING_MIB", 0.25)
    monkeypatch.setattr(savers, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(savers, "LAST_RETRY_SECONDS", 0.02)
    folder, full, write = tmp_path / "run", True, parts.write_atomically

    def full_disk(path: Path, *arguments: object, **named: object) -> None:
        if full and path.suffix == ".arrow":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *arguments, **named)

    for module in ("foam_viz.trace.disk.part_files", "foam_viz.trace.disk.parts"):
        monkeypatch.setattr(f"{module}.write_atomically", full_disk)
    saver = opened(folder)
    for start in range(1, 40_000, 1000):
        steps = np.arange(start, start + 1000)
        checks = {"step": steps, "factor": steps % 3, "proxy": steps / 1e6, "decision": ["threshold"] * 1000}
        checks |= {"checks": np.ones(1000, int), "decompositions": np.ones(1000, int)}
        tables = {
            "steps": bundle.pa.Table.from_batches([record_batch("steps", {"step": steps, "loss": 1 / steps})]),
            "checks": bundle.pa.Table.from_batches([record_batch("checks", checks)]),
        }
        saver.add([tables] * LANES, int(steps[-1]))
        saver.write()
        # What the first try took over is not thinned: on a busy machine it must not take the whole run.
        until(lambda: "No space left on device" in saver.problem)
        time.sleep(0.01)
    end = time.monotonic() + 20

    def within_limit() -> bool:
        with saver._changed:
            return not saver._next.rows and saver._now.row_bytes <= 0.25 * 2**20

    while not ("were thinned" in saver.problem and within_limit()):
        assert time.monotonic() < end, saver.problem
        time.sleep(0.02)
    assert sum(pending.table.nbytes for one in saver._autosaves for pending in one._pending.values()) < 2**20
    assert "No space left on device" in saver.problem
    full = False
    settle(saver)
    assert "nothing could be written" in saver.take_thinned()[-1][2]
    for path in lanes(folder):
        found = bundle.read(path)
        assert found.rows("steps") < 30_000
        assert int(found.values("steps", "step")[-1]) == 40_000
        saved = [parts.decode("checks", part.read_bytes()) for part in (path / "tables").glob("checks.*")]
        for name in ("checks", "decompositions"):
            assert sum(sum(rows[name].to_pylist()) for rows in saved) == 40_000
    saver.close()


def test_thinning_keeps_the_totals_of_every_factor() -> None:
    """Checks, decompositions, reuses and refreshes at the cap: those of each factor are the same however often rows
    are thinned."""
    rng = np.random.default_rng(1)
    count = 5000
    decomposed = rng.random(count) < 0.3
    batch = record_batch(
        "checks",
        {
            "step": np.arange(1, count + 1) // 4 + 1,
            "factor": rng.integers(0, 7, count),
            "decision": np.where(decomposed, "threshold", "reuse").tolist(),
            "checks": np.where(rng.random(count) < 0.5, 1, rng.integers(1, 9, count)),
            "decompositions": decomposed.astype(int),
            "reuses": (~decomposed).astype(int),
            "cap_refreshes": (decomposed & (rng.random(count) < 0.5)).astype(int),
        },
    )
    rows = bundle.pa.Table.from_batches([batch])

    def totals(table: bundle.pa.Table) -> dict[int, tuple[int, ...]]:
        counted = ("checks", "decompositions", "reuses", "cap_refreshes")
        sums = table.group_by("factor").aggregate([(name, "sum") for name in counted]).to_pylist()
        return {row["factor"]: tuple(row[f"{name}_sum"] for name in counted) for row in sums}

    wanted = totals(rows)
    for _ in range(8):
        fewer = thinned("checks", rows)
        assert len(fewer) < len(rows) or len(rows) < 64
        rows = fewer
        assert totals(rows) == wanted
    assert len(rows) < count / 50
