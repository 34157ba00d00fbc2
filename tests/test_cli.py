"""The command line, as a shell sees it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foam_viz import cli
from foam_viz.trace.disk import bundle
from foam_viz.trace.final import final_of
from foam_viz.trace.numbers import number

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foam_viz", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The same in this process: exit code, output and errors. An exception fails the test."""
    try:
        code = cli.main(arguments)
    except SystemExit as ended:  # argparse's way
        code = ended.code
    return (code, *capsys.readouterr())


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
    last = final_of(bundle.read(tmp_path / "foam"), "loss")
    assert f"loss {number(last.value)} (mean of steps 11 to 30)" in done.stdout
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
    assert os.listdir(tmp_path) == ["run.zip"]


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
        (["--set", "eigenvalues=clamp"], "eigenvalues = clamp: must be one of floor, shift"),
        (["--set", "precision=float16"], "precision = float16: must be one of float32, float64"),
        (["--set", "lr"], "KEY=VALUE"),
        (["--steps", "0"], "steps = 0"),
        (["--seed", "-1"], "seed = -1"),
        (["--set", "seed=-1"], "seed = -1"),
        (["--set", "steps=0"], "steps = 0"),
        (["--steps", "1e400"], "steps = 1e400"),
        (["--seed", "3", "--set", "seed=4"], "--set seed = 4: must be the same as --seed 3, or left out"),
        (["--steps", "9", "--set", "steps=10"], "--set steps = 10: must be the same as --steps 9, or left out"),
        (["--set", "lr=1", "--set", "lr=2"], "--set lr = 2: must be given once; lr = 1 came before"),
        (["--set", f"period={10**30}"], "must be an integer from 1 to 10000000"),
        (["--set", f"start={'9' * 5000}"], "must be an integer from 1 to 10000000, or none"),
        (["--set", "max_preconditioner_dim=1e30"], "must be an integer from 1 to 1000000"),
        (["--set", "lr=1e308"], "lr = 1e308: must be a number from 0 to 1000000"),
        (["--set", "lr="], "lr = : must be"),
        (["--set", ""], "--set = '': must be KEY=VALUE"),
        (["--set", "=3"], "--set = =3: must be KEY=VALUE"),
        (["--set", "device=cpu"], "--device is an option of its own"),
        (["--set", "sede=1"], "did you mean seed"),
        (["--seed", "1", "--seed", "1"], "argument --seed: given twice"),
        (["--task", ""], "task = : must be"),
        (["--optimizer", ""], "optimizer = : must be"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--task", "csv", "--set", "table=/no/such.csv"], "/no/such.csv"),
        (["--task", "csv", "--set", "table=/tmp"], "table = /tmp"),
    ],
)
def test_bad_input_names_field_and_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, _, told = here(capsys, "train", *arguments, "--out", str(tmp_path / "out"))
    assert code == 2
    assert words in told
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


# --- settings that are options too


def test_seed_and_steps_may_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three seeds are three runs."""
    losses = []
    for seed in (0, 1, 2):
        out = tmp_path / str(seed)
        sets = ("--set", f"seed={seed}", "--set", "steps=4")
        code, shown, _ = here(capsys, "train", "--optimizer", "sgd", *sets, "--out", str(out))
        assert code == 0
        assert f"seed {seed}; step 4" in shown
        trace = bundle.read(out)
        settings = trace.manifest.config["run_settings"]
        assert (settings["seed"], settings["steps"], settings["decay_steps"]) == (seed, 4, 4)
        losses.append(tuple(trace.values("steps", "loss")))
    assert len(set(losses)) == 3


def test_the_same_twice_is_no_contradiction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "a")
    code, *_ = here(capsys, "train", "--optimizer", "sgd", "--steps", "3", "--set", "steps=3.0", "--out", out)
    assert code == 0


# --- what is not there


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "run")
    for arguments, configured in ((("--device", "cuda"), "auto"), (("--device", "mps"), "auto"), ((), "cuda")):
        monkeypatch.setenv("FOAM_VIZ_DEVICE", configured)
        code, _, told = here(capsys, "train", *arguments, "--out", out)
        assert code == 2
        assert "must be one of auto, cpu: torch finds no" in told
        assert not (tmp_path / "run").exists()


def test_a_misspelt_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOAM_VIZ_ENGINE", "3")
    for arguments in (["train", "--out", str(tmp_path / "run")], ["inspect", str(tmp_path)]):
        code, _, told = here(capsys, *arguments)
        assert code == 2
        assert "FOAM_VIZ_ENGINE: there is no such setting; did you mean FOAM_VIZ_ENGINES?" in told


@pytest.mark.parametrize("path", ["", " ", "/no/such/file", "/dev/null", "a" * 300])
def test_inspect_of_no_file(capsys: pytest.CaptureFixture[str], path: str) -> None:
    code, _, told = here(capsys, "inspect", path)
    assert code == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_names_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / os.fsdecode(b"run-\xff"))
    assert here(capsys, "train", "--optimizer", "sgd", "--steps", "2", "--out", out)[0] == 0
    assert bundle.read(out).manifest.name == "run-\N{REPLACEMENT CHARACTER}"
    code, shown, told = here(capsys, "inspect", out, "--json")
    assert code == 0, told
    assert [entry["rows"] for entry in strict(shown)] == [2]


# --- where the run goes


@pytest.mark.parametrize("name", ["", " ", "file", "file.zip", "folder.zip", "link", "file/below", "file/below.zip"])
def test_out_that_cannot_be_used_is_known_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for file in ("file", "file.zip"):
        (tmp_path / file).write_text("mine")
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    out = str(tmp_path / name) if name.strip() else name
    code, _, told = here(capsys, "train", "--optimizer", "sgd", "--steps", "10000000", "--quiet", "--out", out)
    assert code == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert (tmp_path / "file").read_text() == (tmp_path / "file.zip").read_text() == "mine"


@pytest.mark.parametrize("name", ["run", "run.zip", "deep/er/run.ZIP"])
def test_a_missing_parent_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    out = str(tmp_path / "new" / name)
    assert here(capsys, "train", "--optimizer", "sgd", "--steps", "2", "--out", out)[0] == 0
    assert bundle.read(tmp_path / "new" / name).manifest.name == "run"


@pytest.mark.parametrize("name", ["run", "run.zip"])
def test_a_disk_that_cannot_be_written_to_is_known_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("foam_viz.engine.worker.run.Run.advance", lambda run: pytest.fail("it trains"))
    assert cli.main(["train", "--optimizer", "sgd", "--out", str(tmp_path / "new" / name)]) == 2
    assert "Read-only file system" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run", "run.zip"])
def test_a_disk_that_is_full_at_the_end_loses_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    full, replace = False, os.replace

    def full_disk(source, target) -> None:
        if full and tmp_path / "out" in Path(target).parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    def train_and_fill(run, target, interrupt, **options) -> None:
        nonlocal full
        full = True
        training(run, target, interrupt, **options)

    training = cli.cli_train.train
    monkeypatch.setattr(cli.cli_train, "train", train_and_fill)
    monkeypatch.setattr(os, "replace", full_disk)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = str(tmp_path / "out" / name)
    code, _, told = here(capsys, "train", "--optimizer", "sgd", "--steps", "3", "--quiet", "--out", out)
    assert code == 2
    assert "No space left on device" in told
    (place,) = tmp_path.glob("foam_viz-*/run")
    assert f"saved as {place} instead" in told
    assert bundle.read(place).rows("steps") == 3


# --- the end before the end


@pytest.mark.parametrize(
    ("name", "number"), [("run.zip", signal.SIGINT), ("run", signal.SIGINT), ("run", signal.SIGTERM)]
)
def test_an_interrupt_saves_what_there_is(tmp_path: Path, name: str, number: signal.Signals) -> None:
    out = tmp_path / name
    process = subprocess.Popen(
        [sys.executable, "-m", "foam_viz", "train", "--optimizer", "adamw", "--steps", "1000000", "--out", str(out)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        told = b""
        while b"steps/s" not in told:
            told += os.read(process.stderr.fileno(), 1000)
        process.send_signal(number)
        shown, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert shown == b""
    last = rest.decode().rstrip().splitlines()[-1]
    assert last.startswith("interrupted at step ")
    assert last.endswith(f"saved as {out}")
    assert b"Traceback" not in told + rest
    trace = bundle.read(out)
    assert trace.manifest.status == "interrupted"
    assert f"step {trace.rows('steps'):,} of" in last
    assert list(trace.values("steps", "step")) == list(range(1, trace.rows("steps") + 1))


def test_a_killed_run_leaves_what_it_recorded_beside_its_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "run.zip", tmp_path / "run.zip.unfinished"
    arguments = ["train", "--optimizer", "adamw", "--steps", "1000000", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "foam_viz", *arguments], cwd=ROOT, stderr=subprocess.PIPE)
    try:
        told = b""
        while b"steps/s" not in told:
            told += os.read(process.stderr.fileno(), 1000)
        process.kill()
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert f"saved in {folder}" in told.decode()
    assert not out.exists()
    before = bundle.read(folder).rows("steps")
    assert before > 0
    code, _, told = here(capsys, *arguments)
    assert code == 2
    assert f"{folder} is there" in told
    assert bundle.read(folder).rows("steps") == before


def test_a_zip_that_came_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, training = tmp_path / "run.zip", cli.cli_train.train

    def train_meanwhile(run, target, interrupt, **options) -> None:
        training(run, target, interrupt, **options)
        out.write_text("mine")

    monkeypatch.setattr(cli.cli_train, "train", train_meanwhile)
    code, _, told = here(capsys, "train", "--optimizer", "sgd", "--steps", "3", "--quiet", "--out", str(out))
    assert code == 2
    assert out.read_text() == "mine"
    assert f"saved as {out}.unfinished instead" in told
    assert bundle.read(tmp_path / "run.zip.unfinished").rows("steps") == 3


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    assert train(tmp_path / "run", "sgd", steps=2).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "foam_viz", "inspect", "--json", str(tmp_path / "run")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert told == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    assert train(tmp_path / "run", "sgd", steps=2).returncode == 0
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "foam_viz", "inspect", str(tmp_path / "run")],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: [Errno 28] No space left on device\n"
