"""The documentation: screenshots that are no older than the pages, links, a container without rights."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _screenshots():
    spec = importlib.util.spec_from_file_location("screenshots", DOCS / "screenshots.py")
    module = sys.modules["screenshots"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


screenshots = _screenshots()


@pytest.mark.skipif(
    os.environ.get("FOAM_VIZ_REQUIRE_SCREENSHOTS") != "1", reason="FOAM_VIZ_REQUIRE_SCREENSHOTS is not 1"
)
@pytest.mark.parametrize("shot", screenshots.SHOTS, ids=lambda shot: shot.name)
def test_a_screenshot_is_no_older_than_its_page(shot) -> None:
    """Asked for before a release: every change of a page makes its pictures old."""
    kept = json.loads(screenshots.STAMP.read_text())
    assert kept.get(shot.name) == shot.stamp, f"run: python docs/screenshots.py {shot.name}"


@pytest.mark.parametrize("shot", screenshots.SHOTS, ids=lambda shot: shot.name)
def test_there_is_a_screenshot_in_both_themes(shot) -> None:
    for theme in screenshots.THEMES:
        picture = screenshots.FOLDER / f"{shot.name}-{theme}.png"
        assert picture.exists() and picture.stat().st_size < 400_000
    assert all((ROOT / source).exists() for source in shot.sources)


def test_a_changed_source_makes_a_screenshot_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "ROOT", tmp_path)
    monkeypatch.setattr(screenshots, "_ALL", ())
    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "page.py").write_text("one")
    shot = screenshots.Shot("page", "", ("ui",))
    before = shot.stamp
    assert shot.stamp == before
    (tmp_path / "ui" / "page.py").write_text("two")
    assert shot.stamp != before


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_of_the_site_is_there_and_every_document_is_on_it() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/-]+\.md", text))
    assert all((DOCS / name).exists() for name in named)
    kept = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert kept == named


def _dockerfile() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, in order."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line and not line.startswith("#")]  # type: ignore[misc]


def _service() -> dict:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    return service


def test_the_container_runs_as_an_ordinary_user_with_a_read_only_root() -> None:
    instructions = _dockerfile()
    names = [name for name, _ in instructions]
    assert dict(instructions)["USER"] not in ("root", "0")
    assert names.index("USER") < names.index("CMD") and "RUN" not in names[names.index("USER") :]
    assert _service()["read_only"] is True and _service()["cap_drop"] == ["ALL"]


def test_image_compose_file_and_documentation_name_the_same_folder_user_and_port() -> None:
    image = dict(_dockerfile())
    variables = dict(pair.split("=", 1) for pair in image["ENV"].split())
    folder, user, port = image["VOLUME"], image["USER"], image["EXPOSE"]
    assert variables["HOME"] == variables["FOAM_VIZ_HOME"] == folder
    made = next(text for name, text in _dockerfile() if name == "RUN" and "useradd" in text)
    assert made.endswith(f"mkdir {folder} && chown {user} {folder}") and f"--home-dir {folder} {user}" in made
    assert f"--server.port={port}" in image["CMD"] and f":{port}/_stcore/health" in image["HEALTHCHECK"]
    service = _service()
    assert service["ports"] == [f"{port}:{port}"] and service["volumes"] == [f"data:{folder}"]
    assert "/tmp" in service["tmpfs"]
    hosting = (DOCS / "hosting.md").read_text()
    number = re.search(r"--uid (\d+)", made)
    assert number and f"ordinary user ({number[1]})" in hosting and f"mounted at `{folder}`" in hosting


def test_the_image_starts_what_it_copies() -> None:
    """What the command and the steps of the Dockerfile need is not left out of what is sent to the build."""
    left_out = (ROOT / ".dockerignore").read_text().split()
    for name in ("requirements.txt", "app.py", "foam_viz", "pages", "sample_runs", ".streamlit"):
        assert (ROOT / name).exists() and name not in left_out, name


def test_the_compose_file_sets_what_the_table_for_a_class_says() -> None:
    from foam_viz.settings import load

    environment = {name: str(value) for name, value in _service()["environment"].items()}
    load({**environment, "FOAM_VIZ_HOME": str(ROOT)})  # refuses what is no setting, and values out of range
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (DOCS / "hosting.md").read_text(), re.MULTILINE)
    assert {f"FOAM_VIZ_{name.upper()}": value for name, value in rows} == environment
