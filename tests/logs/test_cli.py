"""``inspect`` on logs of any format, as a shell sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.logs.make_bundles import make_bundles
from tests.logs.make_mlflow import make_mlflow
from tests.logs.make_trackio import make_trackio

ROOT = Path(__file__).resolve().parents[2]


def inspect(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foam_viz", "inspect", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_format_gives_the_same_objects(tmp_path: Path) -> None:
    make_bundles(tmp_path)
    make_mlflow(tmp_path)
    make_trackio(tmp_path)
    (tmp_path / "poem.txt").write_text("no log\n")
    done = inspect(str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout, parse_constant=lambda word: 1 / 0)
    assert sorted((entry["format"], entry["rows"]) for entry in entries) == [
        ("foam_viz", 20), ("mlflow", 11), ("trackio", 6), ("trackio", 6),
    ]  # fmt: skip
    assert len({tuple(entry) for entry in entries}) == 1
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["run"]["checks"] == 4
    assert by_name["name of aaa"]["diverged"] is True
    assert by_name["name of aaa"]["metrics"]["loss"] == {"last": None, "min": 0.5, "max": 1.9}
    assert "poem.txt: is not a log of a known kind" in done.stderr
    assert "bbb/meta.yaml: is a run that was deleted" in done.stderr


def test_lines_for_people_and_no_control_of_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss,evil\x1b[2Jname\n1,2.0,1\n2,1.5,2\n")
    done = inspect(str(tmp_path))
    assert done.returncode == 0
    assert "[table]: 2 rows (steps 1 to 2), loss 1.75" in done.stdout
    assert "\x1b" not in done.stdout


def test_limits_come_from_the_configuration(tmp_path: Path) -> None:
    done = inspect(str(make_bundles(tmp_path)), FOAM_VIZ_LOG_SECONDS="0")
    assert done.returncode == 2
    assert "log_seconds = '0' must be a number from 1" in done.stderr


def test_nothing_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    done = inspect(str(tmp_path), "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, [])
    assert "a.bin: is not a log of a known kind" in done.stderr
    assert "Traceback" not in done.stderr
