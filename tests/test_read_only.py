"""The app where its data directory alone can be written, as compose.yaml runs it; and where that cannot either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.server import ROOT, free_port

_WITHOUT_RIGHTS = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
"""The superuser writes everywhere: without its capabilities it is held to the modes of files like everybody."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The app, in a folder in which nothing can be written."""
    if os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None):
        pytest.skip("needs modes of files that hold for whoever runs the tests")
    home = tmp_path_factory.mktemp("app") / "app"
    home.mkdir()
    shutil.copy(ROOT / "app.py", home)
    for name in (".streamlit", "foam_viz", "pages"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "sample_runs").mkdir()
    for sample in (ROOT / "sample_runs").glob("*.zip"):
        (home / "sample_runs" / sample.name).symlink_to(sample)
    publish = "from foam_viz.ui.board.assets import publish; publish()"
    subprocess.run([sys.executable, "-B", "-c", publish], cwd=home, check=True)
    for path in [home, *home.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    yield home
    for path in [home, *(path for path in home.rglob("*") if path.is_dir())]:
        path.chmod(0o755)


def _served(folder: Path, data: Path) -> str:
    """Run the app until it answers; returns what it printed."""
    port, before = free_port(), _WITHOUT_RIGHTS if os.geteuid() == 0 else ()
    log = folder.parent / "log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [*before, sys.executable, "-B", "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=folder, env={**os.environ, "FOAM_VIZ_HOME": str(data), "HOME": str(data)}, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        for _ in range(240):
            if process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
                    assert answer.status == 200
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    assert b"<html" in answer.read()
                return log.read_text()
            except OSError:
                time.sleep(0.25)
        raise AssertionError(log.read_text())
    finally:
        process.terminate()
        process.wait(20)


def test_the_app_runs_from_a_folder_in_which_nothing_can_be_written(folder: Path, tmp_path: Path) -> None:
    told = _served(folder, tmp_path)
    assert "cannot" not in told and "denied" not in told
    assert (tmp_path / "data" / "server.lock").exists()
    assert not list(folder.rglob("__pycache__"))


def test_a_data_directory_that_cannot_be_written_is_named_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o555)
    told = _served(folder, data)
    assert f"data_directory = {data}" in told
    assert "FOAM_VIZ_DATA_DIRECTORY" in told and "not kept" in told


def test_an_app_that_never_ran_in_such_a_folder_ends_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    """What browsers load was never put there: that the server ends is said in a sentence, and what helps."""
    fresh = tmp_path / "app"
    shutil.copytree(folder, fresh, symlinks=True, ignore=shutil.ignore_patterns("static"))
    try:
        with pytest.raises(AssertionError) as ended:
            _served(fresh, tmp_path / "home")
    finally:
        for path in [fresh, *(path for path in fresh.rglob("*") if path.is_dir())]:
            path.chmod(0o755)
    told = str(ended.value)
    assert f"error: {fresh / 'static'} cannot be written to" in told and "Start the app once" in told
    assert "Traceback" not in told
