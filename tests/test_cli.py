"""The command line, as a shell sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from foam_viz.trace import bundle
from foam_viz.trace.numbers import number

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foam_viz", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def train(out: Path, optimizer: str, *sets: str, steps: int = 30) -> subprocess.CompletedProcess[str]:
    assignments = [part for text in sets for part in ("--set", text)]
    return run("train", "--optimizer", optimizer, "--steps", str(steps), "--out", str(out), *assignments)


def strict(text: str) -> list[dict]:
    """Parses JSON that has no NaN and no Infinity in it."""

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} in strict JSON")

    return json.loads(text, parse_constant=refuse)


def test_train_then_inspect(tmp_path: Path) -> None:
    done = train(tmp_path / "foam", "foam", "lr=1e-2", "tau=0.75", "start=10", "batch_size=32")
    assert done.returncode == 0, done.stderr
    assert "step 30 of 30" in done.stderr
    assert "decompositions" in done.stdout
    assert "loss" in done.stdout
    trace = bundle.read(tmp_path / "foam")
    assert trace.manifest.config["task_settings"]["batch_size"] == 32
    shown = run("inspect", str(tmp_path / "foam"), "--json")
    assert shown.returncode == 0
    (entry,) = strict(shown.stdout)
    assert list(entry) == [
        "name", "format", "files", "rows", "first_step", "last_step", "columns", "final_loss", "metrics", "checks",
        "decompositions", "decompositions_per_factor_and_100_steps", "decompositions_per_factor_and_100_steps_left",
        "decompositions_per_factor_and_100_steps_right", "decompositions_per_check", "decompositions_per_check_left",
        "decompositions_per_check_right", "optimizer_seconds", "diverged", "notes",
    ]  # fmt: skip
    assert (entry["rows"], entry["first_step"], entry["last_step"]) == (30, 1, 30)
    assert entry["checks"] == 3 * 18
    assert entry["final_loss"] == pytest.approx(trace.values("steps", "loss")[-20:].mean())
    assert 0 < entry["decompositions_per_check_left"] <= 1
    assert entry["decompositions_per_factor_and_100_steps"] == pytest.approx(entry["decompositions"] / 18 / 30 * 100)
    document = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")
    assert [key for key in entry if f"| `{key}` |" not in document] == []
    assert entry["diverged"] is False


def test_the_rate_is_by_steps_and_not_by_checks(tmp_path: Path) -> None:
    """Both decompose at every check; one pays five times as much."""
    for period, rate in ((5, 20.0), (25, 4.0)):
        done = train(tmp_path / f"f{period}", "shampoo", f"period={period}", f"start={period}", steps=50)
        share = f"checks (100 %), {number(rate)} per factor and 100 steps"
        assert share in done.stdout
        shown = run("inspect", str(tmp_path / f"f{period}"))
        assert share in shown.stdout
        (entry,) = strict(run("inspect", str(tmp_path / f"f{period}"), "--json").stdout)
        assert entry["decompositions_per_factor_and_100_steps"] == rate and entry["decompositions_per_check"] == 1


def test_a_zip_is_a_bundle_too(tmp_path: Path) -> None:
    assert train(tmp_path / "run.zip", "adamw").returncode == 0
    (entry,) = strict(run("inspect", str(tmp_path / "run.zip"), "--json").stdout)
    assert (entry["rows"], entry["checks"], entry["decompositions"]) == (30, None, None)


def test_a_folder_of_bundles_gives_one_object_each(tmp_path: Path) -> None:
    for seed, name in enumerate(("b", "a")):
        assert train(tmp_path / "runs" / name, "sgd", f"seed={seed}", "lr=1e-3", steps=5).returncode == 0
    shown = strict(run("inspect", str(tmp_path / "runs"), "--json").stdout)
    assert [entry["name"] for entry in shown] == ["a", "b"]


def test_a_diverged_run_is_kept_and_says_so(tmp_path: Path) -> None:
    done = train(tmp_path / "sgd", "sgd", "lr=1000")
    assert done.returncode == 1
    assert "DIVERGED at step" in done.stdout
    (entry,) = strict(run("inspect", str(tmp_path / "sgd"), "--json").stdout)
    assert entry["diverged"] is True
    assert entry["rows"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optimizer", "shampo"], "did you mean shampoo"),
        (["--task", "digits"], "digits-autoencoder"),
        (["--set", "taus=1"], "did you mean tau"),
        (["--set", "tau=1.5"], "tau = 1.5: must be a number strictly between 0 and 1"),
        (["--set", "tau=nan"], "tau = nan"),
        (["--set", "epsilon_max=1e-12"], "epsilon_max"),
        (["--set", "lr"], "KEY=VALUE"),
        (["--steps", "0"], "steps = 0"),
        (["--seed", "-1"], "seed = -1"),
    ],
)
def test_bad_input_names_field_and_range(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run("train", *arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = train(tmp_path, "adamw")
    assert done.returncode == 2
    assert "new or empty" in done.stderr


def test_inspect_of_nothing(tmp_path: Path) -> None:
    done = run("inspect", str(tmp_path), "--json")
    assert done.returncode == 1
    assert strict(done.stdout) == []
    assert "no run was recognised" in done.stderr
    assert run("inspect", str(tmp_path / "absent")).returncode == 2
