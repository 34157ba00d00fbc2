"""The configuration of an installation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foam_viz import settings as module
from foam_viz.settings import Settings, SettingsError, load, machine_memory


def test_defaults_lie_under_home(tmp_path: Path) -> None:
    assert load({"FOAM_VIZ_HOME": str(tmp_path)}) == Settings(data_directory=tmp_path / "data")


def test_environment_overrides_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('engines = 3\ndevice = "cpu"\n')
    settings = load({"FOAM_VIZ_HOME": str(tmp_path), "FOAM_VIZ_ENGINES": "2"})
    assert (settings.engines, settings.device) == (2, "cpu")


def test_folders_of_logs_come_from_file_or_environment(tmp_path: Path) -> None:
    runs, more = tmp_path / "runs", tmp_path / "more"
    runs.mkdir()
    more.mkdir()
    (tmp_path / "config.toml").write_text(f"log_folders = [{str(runs)!r}]\nlog_unpacked_mb = 100\n")
    settings = load({"FOAM_VIZ_HOME": str(tmp_path)})
    assert (settings.log_folders, settings.log_unpacked_mb) == ((runs,), 100)
    both = load({"FOAM_VIZ_HOME": str(tmp_path), "FOAM_VIZ_LOG_FOLDERS": f"{runs}{os.pathsep}{more}"})
    assert both.log_folders == (runs, more)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("enginess = 3", "unknown key 'enginess'; did you mean engines?"),
        ("engines = 99", "engines = 99 must be a whole number from 0 to 64"),
        ("engines = true", "must be a whole number"),
        ("engines = 2.7", "engines = 2.7 must be a whole number from 0 to 64"),
        ("keep_days = 0", "keep_days = 0 must be a number from 0.1 to 36500"),
        ("keep_gb = nan", "keep_gb = nan must be a number"),
        ("run_mb = inf", "run_mb = inf must be a whole number from 16"),
        ('device = "tpu"', "device = 'tpu' must be one of auto, cpu, cuda, mps"),
        ("data_directory = 3", "must be the path of a folder"),
        ("log_seconds = 0", "log_seconds = 0 must be a number from 1 to 3600"),
        ("log_memory_mb = 3.5e9", "log_memory_mb = 3500000000.0 must be a whole number from 256"),
        ("log_folders = 3", "log_folders = 3 must be a list of paths"),
        ('log_folders = ["/no/such/folder"]', "'/no/such/folder' must be a folder that exists"),
        ("engines =", "this is not TOML"),
    ],
)
def test_errors_name_key_value_and_range(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load({"FOAM_VIZ_HOME": str(tmp_path)})
    assert words in str(caught.value)
    assert "config.toml" in str(caught.value)


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FOAM_VIZ_GRACE_SECONDS: grace_seconds = 'soon' must be a number"):
        load({"FOAM_VIZ_HOME": str(tmp_path), "FOAM_VIZ_GRACE_SECONDS": "soon"})


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("FOAM_VIZ_ENGINE", "FOAM_VIZ_ENGINE: there is no such setting; did you mean FOAM_VIZ_ENGINES?"),
        ("FOAM_VIZ_grace_seconds", "did you mean FOAM_VIZ_GRACE_SECONDS?"),
        ("FOAM_VIZ_HOEM", "did you mean FOAM_VIZ_HOME?"),
        ("FOAM_VIZ_", "there is no such setting"),
        ("FOAM_VIZ_QQQQQQ", "KEEP_GB"),
    ],
)
def test_a_misspelt_variable_is_an_error(tmp_path: Path, variable: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"FOAM_VIZ_HOME": str(tmp_path), variable: "3"})
    assert words in str(caught.value)


def test_variables_of_the_tests_and_of_others_are_no_settings(tmp_path: Path) -> None:
    others = {
        "FOAM_VIZ_REQUIRE_BROWSER": "1",
        "FOAM_VIZ_REQUIRE_LIBRARIES": "1",
        "FOAM_VIZ_EXAMPLE_LOGS": "/logs",
        "FOAM": "1",
        "PATH": "/bin",
    }
    assert load({"FOAM_VIZ_HOME": str(tmp_path), **others}) == Settings(data_directory=tmp_path / "data")


@pytest.mark.parametrize(("told", "expected"), [("268435456\n", 2**28), ("max\n", None), (f"{2**63 - 4096}\n", None)])
def test_memory_is_what_a_container_may_use(
    told: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(module, "_CONTAINER_LIMITS", (limit, tmp_path / "absent"))
    whole = machine_memory()
    limit.write_text(told)
    assert machine_memory() == (expected or whole)
