"""The rules of the house: who may import whom, and that torch stays out of the Streamlit process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "foam_viz"
TORCH_FREE_ENGINE = {
    "foam_viz.engine." + name
    for name in (
        "children",
        "replay.client",
        "replay.commands",
        "server",
        "store",
        "truth.client",
        "sweep.results",
        "sweep.runner",
        "sweep.spec",
        "wire",
        "worker.scheduling",
    )
}
TORCH_FREE_RECORDING = {
    "foam_viz.recording." + name for name in ("stream", "writer", "writer_destination", "writer_rows")
}

# What a package may import of foam_viz, besides itself. A name covers everything below it.
ALLOWED = {
    "optim": set(),
    "trace": set(),
    # An experiment is written in the catalogues; what its streams may take is said where they are written.
    "experiment": {
        "foam_viz.optim",
        "foam_viz.tasks.catalogue",
        "foam_viz.tasks.outline",
        "foam_viz.tasks.shared_fields",
        "foam_viz.tasks.spec",
        "foam_viz.tasks.uploads",
        "foam_viz.trace",
        "foam_viz.recording.stream",
        "foam_viz.settings",
        "foam_viz",
    },
    "recording": {"foam_viz.optim", "foam_viz.trace", "foam_viz.device", "foam_viz"},
    # The catalogue of tasks is written in the one schema of settings, which lives with the optimizers.
    "tasks": {"foam_viz.optim.fields"},
    "engine": {
        "foam_viz.device",
        "foam_viz.experiment",
        "foam_viz.recording",
        "foam_viz.optim",
        "foam_viz.tasks",
        "foam_viz.trace",
        "foam_viz.settings",
        "foam_viz",
        "foam_viz.analysis.replay",
        "foam_viz.analysis.replay_setting",
        "foam_viz.analysis.fronts",
        "foam_viz.analysis.calibrate",
    },
    # What a replay is asked is written in the catalogue of optimizers and decided by their policies.
    "analysis": {
        "foam_viz.trace",
        "foam_viz.recording.stream",
        "foam_viz.optim.catalogue",
        "foam_viz.optim.fields",
        "foam_viz.optim.optimizer_fields",
        "foam_viz.optim.refresh",
        "foam_viz.optim.refresh_fields",
        "foam_viz.optim.spec",
    },
    # FOAM's snapshots hold matrices; their error and overlap are computed where live ones are.
    "logs": {"foam_viz.trace", "foam_viz.recording.stream", "foam_viz.optim.linalg"},
    # What a reader may choose is written in the one schema of settings.
    "figures": {"foam_viz.trace", "foam_viz.analysis", "foam_viz.optim.fields"},
    # A lesson is an experiment with words around it.
    "lessons": {"foam_viz.experiment", "foam_viz.optim.fields", "foam_viz.trace.numbers", "foam_viz.figures.scene"},
    "ui": {
        "foam_viz.experiment",
        "foam_viz.figures",
        "foam_viz.lessons",
        "foam_viz.analysis",
        "foam_viz.trace",
        "foam_viz.recording.stream",
        "foam_viz.logs",
        "foam_viz.settings",
        "foam_viz.files",
        "foam_viz.optim.fields",
        "foam_viz.optim.catalogue",
        "foam_viz.optim.optimizer_fields",
        "foam_viz.optim.refresh",
        "foam_viz.optim.refresh_fields",
        "foam_viz.tasks.catalogue",
        "foam_viz.tasks.files",
        "foam_viz.tasks.shared_fields",
        "foam_viz.tasks.uploads",
        *TORCH_FREE_ENGINE,
    },
}
THIRD_PARTY = {
    "optim": {"torch", "numpy"},
    "trace": {"numpy", "pyarrow"},
    "experiment": {"numpy", "yaml"},
    "recording": {"torch", "numpy", "pyarrow"},
    "tasks": {"torch", "sklearn", "numpy"},
    "engine": {"torch", "numpy", "pyarrow", "yaml", "distributed"},
    "analysis": {"numpy", "pyarrow", "tsdownsample"},
    "logs": {"numpy", "pyarrow", "pandas", "torch", "yaml", "google_crc32c", "re2"},
    "lessons": {"numpy"},
    "figures": {"numpy", "pyarrow"},
    "ui": {"streamlit", "starlette", "numpy", "pyarrow", "plotly", "orjson", "segno"},
}


def imports(path: Path) -> set[str]:
    """Absolute names that a file imports; ``from a import b`` gives ``a.b`` where that is a module, else ``a``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                path_of = ROOT / Path(*name.split("."))
                is_module = path_of.with_suffix(".py").exists() or path_of.is_dir()
                found.add(name if is_module else node.module)
    return found


def covered(name: str, allowed: set[str]) -> bool:
    return any(name == a or (a != "foam_viz" and name.startswith(a + ".")) for a in allowed)


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows_point_down(package: str) -> None:
    files = sorted((PACKAGE / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            top = name.split(".")[0]
            if top == "foam_viz":
                own = name.startswith(f"foam_viz.{package}")
                assert own or covered(name, ALLOWED[package]), f"{path.relative_to(ROOT)} imports {name}"
            elif top not in sys.stdlib_module_names:
                assert top in THIRD_PARTY[package], f"{path.relative_to(ROOT)} imports {name}"


def test_pages_import_ui_alone() -> None:
    for path in [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]:
        for name in imports(path):
            assert name.startswith(("streamlit", "foam_viz.ui")), f"{path.name} imports {name}"


def test_every_module_is_under_a_rule() -> None:
    commands = {"cli.py", "cli_app.py", "cli_replay.py", "cli_sweep.py", "cli_train.py"}
    top_level = {"__init__.py", "__main__.py", "device.py", "files.py", "settings.py"} | commands
    assert {p.name for p in PACKAGE.glob("*.py")} == top_level
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(ALLOWED)


def test_what_the_server_imports_brings_no_torch() -> None:
    modules = sorted(
        {
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for package in ("ui", "figures", "analysis", "trace", "logs", "experiment", "engine/server", "engine/wire")
            for path in (PACKAGE / package).rglob("*.py")
        }
        | TORCH_FREE_ENGINE
        | TORCH_FREE_RECORDING
        | {"foam_viz.optim", "foam_viz.optim.catalogue", "foam_viz.optim.refresh", "foam_viz.tasks", "foam_viz.cli"}
    )
    script = f"import sys; {'; '.join('import ' + m for m in modules)}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
