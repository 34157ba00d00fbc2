"""replay, calibrate and export, as a shell sees them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from foam_viz import cli
from foam_viz.trace.disk import bundle
from tests import streams

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "run.zip"
    sets = [part for text in ("width=24", "period=5", "tau=0.3") for part in ("--set", text)]
    assert cli.main(["train", "--steps", "60", "--stream", "--quiet", *sets, "--out", str(place)]) == 0
    return place


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = cli.main(arguments)
    except SystemExit as ended:
        code = ended.code
    return (code, *capsys.readouterr())


def test_replay_prints_one_object(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "replay", str(run), "--json")
    assert code == 0
    found = json.loads(out, parse_constant=lambda word: pytest.fail(word))
    trace = bundle.read(run)
    assert found["differs"] == 0 and found["open_loop"] is False
    assert found["checks"] == len(trace.checks)
    for name in ("decompositions", "reuses", "cap_refreshes"):
        assert found[name] == sum(trace.checks[name].to_pylist())
        assert found[name] == sum(one[name] for one in found["per_factor"])
    assert [one["factor"] for one in found["per_factor"]] == [factor.id for factor in trace.manifest.factors]


def test_replay_under_another_setting(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "replay", str(run), "--set", "tau=0.9", "--set", "epsilon_max=1e-3", "--json")
    found = json.loads(out)
    assert code == 0 and found["open_loop"] and found["differs"] > 0
    assert (found["setting"]["values"]["tau"], found["setting"]["values"]["epsilon_max"]) == (0.9, 1e-3)
    code, out, _ = call(capsys, "replay", str(run), "--set", "optimizer=shampoo")
    assert code == 0 and "open loop" in out and "0 reuses" in out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("tau",), "KEY=VALUE"),
        (("tau=0.5", "tau=0.6"), "given once"),
        (("tau=3",), "strictly between 0 and 1"),
        (("period=7",), "a multiple of 5"),
        (("taw=0.5",), "did you mean tau"),
    ],
)
def test_settings_that_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], told: str
) -> None:
    code, out, err = call(capsys, "replay", str(run), *(part for text in given for part in ("--set", text)))
    assert code == 2 and told in err and not out


def test_runs_that_cannot_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--steps", "5", "--quiet", "--out", str(tmp_path / "plain")]) == 0
    for command in ("replay", "calibrate"):
        code, _, err = call(capsys, command, str(tmp_path / "plain"))
        assert code == 2 and "kept no factor stream" in err and "--stream" in err
    code, _, err = call(capsys, "replay", str(tmp_path / "missing"))
    assert code == 2 and "missing" in err


def test_streams_that_hold_less_than_they_should(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "--stream", "--quiet", "--set", "width=16", "--set", "period=5"]
    code, _, err = call(capsys, *base, "--steps", "5", "--out", str(tmp_path / "none"))
    assert code == 0 and "stays empty: the run ends before its first check, at step 10" in err
    code, _, err = call(capsys, *base, "--steps", "10", "--out", str(tmp_path / "single"))
    assert code == 0 and ": 1 check of all factors" in err
    code, out, _ = call(capsys, "replay", str(tmp_path / "single"), "--json")
    found = json.loads(out)
    assert code == 0 and found["differs"] == 0 and found["decompositions"] == found["checks"] == 18
    assert any("only recorded check" in note for note in found["notes"])
    code, out, _ = call(capsys, "calibrate", str(tmp_path / "single"))
    assert code == 0 and "epsilon_max = " in out
    with zipfile.ZipFile(run) as good, zipfile.ZipFile(tmp_path / "later.zip", "w") as later:
        for name in good.namelist():
            later.writestr(name, b"of a later version" if name.startswith("stream/") else good.read(name))
    for command in ("replay", "calibrate"):
        code, out, err = call(capsys, command, str(tmp_path / "later.zip"))
        assert code == 2 and not out and "cannot be read" in err and "later version" in err and "--stream" in err


def test_a_factor_that_is_not_finite_is_told_and_the_others_are_replayed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = streams.with_nan(run, tmp_path / "nan.zip", step=20)
    code, out, _ = call(capsys, "replay", str(tmp_path / "nan.zip"), "--set", "tau=0.2", "--json")
    found = json.loads(out, parse_constant=lambda word: pytest.fail(word))
    assert code == 0 and found["error_left"] > 0
    assert any(f"{broken} is not finite from step 20" in note for note in found["notes"])
    code, out, _ = call(capsys, "calibrate", str(tmp_path / "nan.zip"))
    assert code == 0 and "nan" not in out


def test_calibrate_gives_its_reasons(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "calibrate", str(run))
    assert code == 0
    for word in ("epsilon = ", "epsilon_max = ", "tau = ", "float32 resolves", "alpha M", "ViT-S, ImageNet"):
        assert word in out
    code, out, _ = call(capsys, "calibrate", str(run), "--json")
    found = json.loads(out)
    values = found["setting"]["values"]
    assert code == 0 and 0 < values["epsilon"] <= values["epsilon_max"] and 0 < values["tau"] < 1
    assert found["relative"]["epsilon"] * found["unit"] == pytest.approx(values["epsilon"])
    assert len(found["ageing"]) == 11 and len(found["paper"]) == 2
    code, out, _ = call(capsys, "replay", str(run), *(p for k in ("tau", "epsilon", "epsilon_max")
                                                      for p in ("--set", f"{k}={values[k]!r}")))  # fmt: skip
    assert code == 0


def test_the_python_and_the_command_form_train_the_same_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = bundle.read(run).values("steps", "loss")[:60].tolist()
    code, program, _ = call(capsys, "export", str(run), "--as", "python")
    assert code == 0
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert [float(line.split()[1]) for line in done.stdout.splitlines()] == recorded
    code, command, _ = call(capsys, "export", str(run), "--as", "cli")
    words = shlex.split(command)
    assert code == 0 and words[:3] == ["python", "-m", "foam_viz"] and words[-2:] == ["--out", "run"]
    assert cli.main([*words[3:-1], str(tmp_path / "again"), "--quiet"]) == 0
    assert bundle.read(tmp_path / "again").values("steps", "loss").tolist() == recorded


def test_the_artifact_form_has_the_artifacts_names(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(capsys, "export", str(run), "--as", "artifact-yaml")
    assert code == 0
    found = yaml.safe_load(text)
    assert (found["optimizer"], found["precondition_frequency"], found["matrix_root_inv_threshold"]) == ("foam", 5, 0.3)
    settings = bundle.read(run).manifest.config["optimizer_settings"]
    assert (found["epsilon"], found["max_epsilon"]) == (settings["epsilon"], settings["epsilon_max"])
    assert found["base_lr"] == settings["lr"] and found["inv_root_override"] == 2


def test_what_the_artifact_does_not_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--optimizer", "soap", "--steps", "3", "--quiet", "--out", str(tmp_path / "soap")]) == 0
    code, _, err = call(capsys, "export", str(tmp_path / "soap"), "--as", "artifact-yaml")
    assert code == 2 and "one that FOAM's artifact has" in err
