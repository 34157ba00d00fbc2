"""The data directory: one server at a time; saved runs go by age and size, those unwatched longest first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foam_viz.engine import store
from foam_viz.engine.server.data_folder import DataFolder, DataFolderInUse
from foam_viz.engine.server.hub import Hub
from foam_viz.engine.wire import commands
from foam_viz.experiment import config
from foam_viz.settings import Settings
from foam_viz.trace.disk.lock import FileLock, LockHeld
from tests.engine.conftest import until

NOW = 2_000_000_000.0
DAY = 86_400.0


def run_id(number: int) -> str:
    return f"{number:032x}"


def saved(root: Path, number: int, days_ago: float, size: int = 1000) -> Path:
    """A run whose files were written so many days before NOW."""
    folder = store.run_directory(root, run_id(number))
    (folder / "lane-1" / "checkpoints").mkdir(parents=True)
    for path, content in (
        (folder / "experiment.json", b"{}"),
        (folder / "lane-1" / "checkpoints" / "step.pt", bytes(size)),
    ):
        path.write_bytes(content)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (NOW - days_ago * DAY,) * 2)
    return folder


def folder(root: Path, *, opened: tuple[int, ...] = (), **settings: float) -> DataFolder:
    return DataFolder(Settings(data_directory=root, **settings), lambda: [run_id(n) for n in opened], start=False)


def left(root: Path) -> list[int]:
    return sorted(int(path.name, 16) for path in (root / "runs").iterdir())


def test_runs_go_after_keep_days(tmp_path: Path) -> None:
    for number, days in enumerate((0.0, 13.9, 14.1, 400.0)):
        saved(tmp_path, number, days)
    data = folder(tmp_path)
    assert data.sweep(NOW) == [run_id(3), run_id(2)]
    assert left(tmp_path) == [0, 1]
    assert data.sweep(NOW + 0.2 * DAY) == [run_id(1)]


def test_a_run_that_is_watched_or_open_stays(tmp_path: Path) -> None:
    for number in range(3):
        saved(tmp_path, number, 20.0)
    data = folder(tmp_path, opened=(1,))
    data.mark_seen(run_id(2), NOW - 3 * DAY)
    assert data.sweep(NOW) == [run_id(0)]
    assert left(tmp_path) == [1, 2]
    data.close()
    # Being open was being watched; the marks lie outside the runs' own folders.
    closed = folder(tmp_path)
    assert closed.sweep(NOW + 12 * DAY) == [run_id(2)]
    assert closed.sweep(NOW + 15 * DAY) == [run_id(1)]
    assert list((tmp_path / "seen").iterdir()) == []


def test_beyond_keep_gb_those_unwatched_longest_go(tmp_path: Path) -> None:
    for number, days in enumerate((5.0, 4.0, 3.0, 2.0)):
        saved(tmp_path, number, days, size=2**20)
    data = folder(tmp_path, opened=(1,), keep_gb=2.5 / 1024)
    data.mark_seen(run_id(0), NOW)  # watched just now, though written first
    assert data.sweep(NOW) == [run_id(2), run_id(3)]
    assert left(tmp_path) == [0, 1]


def test_what_an_engine_still_writes_and_what_is_no_run_stay(tmp_path: Path) -> None:
    written = saved(tmp_path, 0, 20.0)
    other = tmp_path / "runs" / "notes"
    other.mkdir()
    (tmp_path / "runs" / f".deleted-{run_id(9)}").mkdir()  # a server was killed while it deleted
    lock = FileLock(written / store.WRITER_LOCK)
    os.utime(written / store.WRITER_LOCK, (NOW - 20 * DAY,) * 2)
    os.utime(written, (NOW - 20 * DAY,) * 2)
    data = folder(tmp_path)
    assert data.sweep(NOW) == []
    lock.release()
    assert data.sweep(NOW) == [run_id(0)]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["notes"]


def test_a_second_server_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom foam_viz.engine.server.data_folder import DataFolder\n"
        "from foam_viz.settings import Settings\n"
        "held = DataFolder(Settings(data_directory=Path(sys.argv[1])), list)\nprint('held', flush=True)\ntime.sleep(60)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert server.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderInUse) as refused:
            folder(tmp_path)
        assert f"data_directory = {tmp_path}: another server works in this folder" in str(refused.value)
        assert "FOAM_VIZ_DATA_DIRECTORY" in str(refused.value)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    folder(tmp_path).close()
    folder(tmp_path).close()


def test_a_folder_that_becomes_writable_is_held_by_the_first_that_writes(tmp_path: Path) -> None:
    where = tmp_path / "data"
    where.write_text("in the way")
    first, second = folder(where), folder(where)
    assert "cannot be written to" in first.problem() and "cannot be written to" in second.problem()
    where.unlink()
    first.hold()
    first.hold()  # by then it is
    with pytest.raises(LockHeld):
        second.hold()
    assert first.problem() == ""
    assert second.problem().startswith("another server works in the data directory")
    assert "FOAM_VIZ_DATA_DIRECTORY" in second.problem()
    with pytest.raises(DataFolderInUse):
        folder(where)
    saved(where, 0, 20.0)
    second.mark_seen(run_id(0))
    assert second.sweep(NOW) == [] and not (where / "seen").exists()
    first.close()
    second.hold()
    assert second.problem() == ""


def test_a_folder_that_was_deleted_is_held_anew(tmp_path: Path) -> None:
    where = tmp_path / "data"
    first = folder(where)
    shutil.rmtree(where)
    first.hold()
    with pytest.raises(DataFolderInUse):
        folder(where)
    shutil.rmtree(where)
    second = folder(where)  # another server came first
    with pytest.raises(LockHeld):
        first.hold()
    second.close()


@pytest.mark.parametrize("holder", ["", "mine", "another"])
def test_an_engine_begins_to_write_only_where_its_server_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str
) -> None:
    monkeypatch.setattr(store, "_server", "")
    run = store.run_directory(tmp_path, run_id(0))
    store.require_held(run)  # it belongs to no server
    store.belong_to("mine")
    if holder:
        (tmp_path / store.SERVER).write_text(holder)
    if holder == "mine":
        store.require_held(run)
        return
    with pytest.raises(OSError, match="another server works in the data dir" if holder else "not in use yet"):
        store.require_held(run)


def test_of_two_servers_that_could_not_write_one_keeps_its_runs_and_the_other_says_why_not(tmp_path: Path) -> None:
    where = tmp_path / "data"
    where.write_text("in the way")
    hubs = [Hub(Settings(data_directory=where, engines=1, device="cpu")) for _ in range(2)]
    try:
        runs = []
        for hub in hubs:
            assert hub.ready(120)
            experiment, _ = config.build(task_settings={"width": 16}, lanes=[("adamw", {})])
            run, key = hub.create(experiment, session="page")
            hub.command(run.view_id, key, commands.make("start"))
            runs.append(run)
        for run in runs:
            until(lambda run=run: "Autosave is off" in run.header.get("autosave_problem", ""), 60)
        where.unlink()
        problem = "another server works in the data directory"
        until(lambda: any(problem in run.header["autosave_problem"] for run in runs), 90)
        until(lambda: any("Autosave is on again" in run.header["autosave_notice"] for run in runs), 90)
        kept = [run for run in runs if not run.header["autosave_problem"]]
        assert [path.name for path in (where / "runs").iterdir()] == [run.view_id for run in kept]
        assert sorted(problem in hub.data.problem() for hub in hubs) == [False, True]
        hub = hubs[runs.index(kept[0])]
        assert [run.saved.view_id for run in hub.history.of(kept[0].owner)] == [kept[0].view_id]
    finally:
        for hub in hubs:
            hub.close()


def test_a_folder_that_cannot_be_written_to_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    data = folder(tmp_path / "file")
    data.mark_seen(run_id(0))
    assert data.sweep(NOW) == []
    data.close()
