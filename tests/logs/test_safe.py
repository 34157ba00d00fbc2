"""Reading in a worker under limits: what is stopped costs itself, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs import ColumnRule, Options, read_all
from foam_viz.logs.core.reader import Reading
from foam_viz.logs.intake import safe
from foam_viz.logs.intake.limits import MEBIBYTE, Limits
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.trace.disk import bundle

ROOT = Path(__file__).resolve().parents[2]


class Clock:
    """The clock of the parent. It jumps ahead when a reader hangs, so a test neither waits nor depends on the load."""

    def __init__(self, hanging: Path) -> None:
        self.hanging, self.asked, self.ahead = hanging, 0, 0.0

    def monotonic(self) -> float:
        if self.hanging.exists():
            self.asked += 1
        if self.asked == 10:  # by now the parent has read what the worker wrote before it hung
            self.hanging.unlink()
            self.asked, self.ahead = 0, self.ahead + 1_000
        return time.monotonic() + self.ahead


@pytest.fixture
def culprits(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    hanging = tmp_path_factory.mktemp("hanging") / "now"
    monkeypatch.setattr(safe, "_WORKER", "tests.logs.culprits")
    monkeypatch.setattr(safe, "time", Clock(hanging))
    monkeypatch.setenv("CULPRIT_HANGS", str(hanging))


def given(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def names(reading: Reading) -> list[str]:
    return [trace.manifest.name.rpartition("/")[2] for trace in reading.traces]


def test_the_worker_returns_what_reading_here_returns(tmp_path: Path) -> None:
    trace = Trace.empty(Manifest(run_id="r", name="run", config={"lr": 0.1}))
    trace.append(
        "steps", record_batch("steps", {"step": [1, 2, 3], "loss": [2.0, np.nan, np.inf], "mfu": [1, 2, None]})
    )
    bundle.write(trace, tmp_path / "run")
    (tmp_path / "poem.txt").write_text("no log\n")
    here, there = read_all([tmp_path]), safe.read([tmp_path])
    assert there.problems == here.problems
    assert [t.manifest for t in there.traces] == [t.manifest for t in here.traces]
    for name in ("loss", "mfu"):
        np.testing.assert_array_equal(there.traces[0].values("steps", name), here.traces[0].values("steps", name))
    np.testing.assert_array_equal(there.traces[0].values("steps", "loss"), [2.0, np.nan, np.inf])


def test_options_arrive(tmp_path: Path) -> None:
    given(tmp_path, **{"a.csv": "step,foo\n1,10\n2,20\n3,30\n"})
    options = Options(columns={"foo": ColumnRule(target="loss", scale=0.1)}, show_secrets=True)
    (trace,) = safe.read([tmp_path / "a.csv"], options).traces
    np.testing.assert_allclose(trace.values("steps", "loss"), [1.0, 2.0, 3.0])


@pytest.mark.usefixtures("culprits")
def test_a_hanging_run_costs_only_itself(tmp_path: Path) -> None:
    given(tmp_path, a="good", b="hang", c="good")
    reading = safe.read([tmp_path], limits=Limits(seconds=600, total_seconds=6_000))
    assert names(reading) == ["a", "c"]
    (problem,) = reading.problems
    assert problem.file.endswith("/b")
    assert "took more than 600 s" in problem.reason
    assert "log_seconds" in problem.reason
    assert problem.remedy


@pytest.mark.usefixtures("culprits")
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("hog", "memory"),
        ("killed", "made the system stop the process, most likely for its memory"),
        ("abort", "took more memory than allowed (the limit is 256 MiB, log_memory_mb)"),
        ("defect", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_dying_run_costs_only_itself(tmp_path: Path, what: str, words: str) -> None:
    given(tmp_path, a="good", b=what, c="good")
    reading = safe.read([tmp_path], limits=Limits(memory_bytes=256 * MEBIBYTE))
    assert names(reading) == ["a", "c"]
    (problem,) = reading.problems
    assert problem.file.endswith("/b")
    assert words in problem.reason


@pytest.mark.usefixtures("culprits")
def test_a_reader_that_hangs_while_looking_is_left_out(tmp_path: Path) -> None:
    given(tmp_path, a="good", b="hang while looking")
    reading = safe.read([tmp_path], limits=Limits(seconds=600, total_seconds=6_000))
    assert reading.traces == []
    assert "recognising files of format culprit took more than 600 s" in reading.problems[0].reason


@pytest.mark.usefixtures("culprits")
def test_the_time_for_everything_ends_it_all(tmp_path: Path) -> None:
    given(tmp_path, a="good", b="hang", c="good")
    reading = safe.read([tmp_path], limits=Limits(seconds=6_000, total_seconds=600))
    assert names(reading) == ["a"]
    (problem,) = reading.problems
    assert "/b" in problem.file
    assert "/c" in problem.file
    assert "everything took more than 600 s" in problem.reason


def test_a_worker_that_cannot_start_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe, "_WORKER", "foam_viz.logs.no_such_module")
    reading = safe.read([given(tmp_path, a="good")])
    assert reading.traces == []
    assert "No module named" in reading.problems[0].reason


def test_start_up_brings_neither_torch_nor_pandas() -> None:
    script = (
        "import sys, foam_viz.logs.intake.worker\n"
        "sys.exit(', '.join({'torch', 'pandas', 'yaml', 'tensorboard'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_signature_follows_growth(tmp_path: Path) -> None:
    given(tmp_path, a="1", b="2")
    before = safe.signature([tmp_path])
    assert safe.signature([tmp_path]) == before
    with open(tmp_path / "a", "a") as file:
        file.write("1")
    grown = safe.signature([tmp_path])
    assert grown != before
    (tmp_path / "sub").mkdir()
    given(tmp_path / "sub", c="3")
    assert safe.signature([tmp_path]) not in (before, grown)
    assert safe.signature([tmp_path / "gone"]) != safe.signature([tmp_path / "sub"])


def test_a_few_bytes_that_stand_for_many_values_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    rows = 20_000_000
    column = pa.array(np.zeros(rows))
    bomb = pa.table({"step": column, "loss": column, "a": column, "b": column})
    pyarrow.parquet.write_table(bomb, tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    given(tmp_path, **{"good.csv": "step,loss\n1,3\n2,2\n3,1\n"})
    reading = safe.read([tmp_path])
    assert names(reading) == ["good"]
    (problem,) = reading.problems
    assert problem.reason.startswith("holds 20,000,000 rows of 4 columns; at most 67,108,864 values are read")


def test_what_a_reading_gives_is_bounded(tmp_path: Path) -> None:
    rows = "".join(f"{step},{1 / step}\n" for step in range(1, 20_000))
    given(tmp_path, **{"a.csv": "step,loss\n" + rows, "b.csv": "step,loss\n1,3\n2,2\n3,1\n"})
    reading = safe.read([tmp_path], limits=Limits(result_bytes=MEBIBYTE))
    assert names(reading) == ["b"]
    (problem,) = reading.problems
    assert problem.file.endswith("a.csv")
    assert "19,999 rows of 16 columns take 2 MiB; the runs of one upload may take 1 MiB in all" in problem.reason


def test_the_runs_of_a_reading_are_bounded(tmp_path: Path) -> None:
    rows = "".join(f"run{run},{step},1\n" for run in range(30) for step in range(3))
    given(tmp_path, **{"a.csv": "run,step,loss\n" + rows})
    reading = safe.read([tmp_path], limits=Limits(runs=10))
    assert len(reading.traces) == 10
    assert [p.reason for p in reading.problems] == ["holds more than 10 runs; the further ones are left out"]


@pytest.mark.usefixtures("culprits")
def test_a_reading_that_nobody_wants_ends_at_once(tmp_path: Path) -> None:
    given(tmp_path, b="hang")
    began = time.monotonic()
    # The clock that jumps ahead when a reader hangs must not end the reading before `stop` does.
    limits = Limits(seconds=100_000, total_seconds=100_000)
    reading = safe.read([tmp_path], limits=limits, stop=lambda: time.monotonic() > began + 1)
    assert time.monotonic() - began < 15
    assert not reading.traces and not reading.problems
