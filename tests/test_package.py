"""The installed package: its command, its data, and figures that are written down once."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
import streamlit
import yaml

import foam_viz
from foam_viz.cli import main

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a virtual environment that the wheel is installed in; what it depends on comes from this one."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT],
        check=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 40_000_000  # of which 32 MB are recorded runs
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert not [name for name in names if "__pycache__" in name or "/static/" in name]
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    (site,) = environment.glob("lib/*/site-packages") if os.name != "nt" else [environment / "Lib" / "site-packages"]
    (site / "dependencies.pth").write_text(f"{Path(streamlit.__file__).parents[1]}\n")
    subprocess.run(
        [*pip, "--python", _python(environment), "install", "--quiet", "--no-deps", wheel], check=True, timeout=120
    )
    return environment


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _command(environment: Path) -> Path:
    return _python(environment).with_name("foam_viz.exe" if os.name == "nt" else "foam_viz")


def _environment(folder: Path, **further: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "FOAM_VIZ_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", **further}


def test_the_command_inspects_a_recorded_run(installed: Path, tmp_path: Path) -> None:
    places = subprocess.run(
        [_python(installed), "-c", "from foam_viz import files; print(files.SAMPLE_RUNS)"],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    samples = Path(places.stdout.strip())
    assert samples.is_relative_to(installed)
    assert sorted(path.name for path in samples.glob("*.zip")) == sorted(
        path.name for path in (ROOT / "sample_runs").glob("*.zip")
    )
    done = subprocess.run(
        [_command(installed), "inspect", samples / "digits-autoencoder-foam.zip", "--json"],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)
    assert run["last_step"] == 600


def test_the_command_starts_the_app(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "output").open("wb") as output:
        server = subprocess.Popen(
            [_command(installed), "app", "--port", str(port)],
            cwd=tmp_path,
            env=_environment(tmp_path, FOAM_VIZ_ENGINES="1", FOAM_VIZ_OWN_ENGINES="0"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        assert _answer(f"{address}/_stcore/health", server) == b"ok", (tmp_path / "output").read_text()
        assert b"<title>" in _answer(f"{address}/live-lab", server)
        # What the board needs was published beside the installed app, and its configuration lets Streamlit serve it.
        (board,) = installed.rglob("app/static/board-*/board.js")
        assert _answer(f"{address}/app/static/{board.parent.name}/board.js", server) == board.read_bytes()
        assert "warning" not in (tmp_path / "output").read_text().lower()
    finally:
        server.terminate()
        server.wait(30)


def _answer(address: str, server: subprocess.Popen[bytes], seconds: float = 90) -> bytes:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                return response.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    return b""


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "٣"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["app", f"--port={port}"])
    assert stopped.value.code == 2
    assert f"argument --port: '{port}': must be an integer from 1 to 65535" in capsys.readouterr().err


def test_dependencies_and_version_are_the_same_everywhere() -> None:
    required = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert PROJECT["dependencies"] == required
    (version,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert version == foam_viz.__version__
    assert f"## {foam_viz.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_checks_before_a_commit_pass_on_every_file() -> None:
    """They are given files by name, those too that the configuration of ruff leaves out."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        entry = hook["entry"].replace(" --fix", " --no-fix").replace("ruff format", "ruff format --check")
        command = shlex.split(entry)
        command[0] = str(Path(sys.executable).with_name(Path(command[0]).name))
        if "ruff" in command[0] and not Path(command[0]).exists():
            pytest.skip("needs ruff beside this Python")
        chosen = [name for name in files if name.endswith((".py", ".pyi"))] if "types_or" in hook else files
        done = subprocess.run([*command, *chosen], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{hook['id']}: {done.stdout}{done.stderr}"
