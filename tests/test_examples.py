"""Every example runs as its docstring says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_train_and_compare() -> None:
    lines = run("train_and_compare.py", 20).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Shampoo, every 10 steps", "FOAM"]
    assert all(line.endswith(" decompositions") for line in lines)


def test_what_is_recorded_can_be_read(tmp_path: Path) -> None:
    run("record_your_training.py", tmp_path / "run", 30)
    (line,) = run("read_logs.py", tmp_path / "run").splitlines()
    assert "30 rows, final loss 0." in line


def test_every_example_is_tested() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {
        "train_and_compare.py",
        "record_your_training.py",
        "read_logs.py",
    }
