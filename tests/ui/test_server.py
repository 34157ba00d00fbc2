"""A server that cannot start says why in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foam_viz.engine.server.data_folder import DataFolder, DataFolderInUse
from foam_viz.engine.server.hub import Hub
from foam_viz.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "24573", "--server.headless", "true"],
        cwd=ROOT,
        env={**os.environ, "FOAM_VIZ_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_second_server_on_a_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_directory=tmp_path / "data", engines=1)
    held = DataFolder(settings, list)
    try:
        done = start(tmp_path)
        assert done.returncode == 2
        assert f"error: data_directory = {tmp_path / 'data'}: another server works in this folder" in done.stderr
        assert "Traceback" not in done.stderr
        with pytest.raises(DataFolderInUse):
            Hub(settings)
    finally:
        held.close()


def test_a_misspelt_variable(tmp_path: Path) -> None:
    done = start(tmp_path, FOAM_VIZ_GRACE="3")
    assert done.returncode == 2
    assert "error: environment variable FOAM_VIZ_GRACE: there is no such setting" in done.stderr
    assert "Traceback" not in done.stderr
