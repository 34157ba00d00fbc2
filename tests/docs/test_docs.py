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


def test_the_container_runs_as_an_ordinary_user_with_a_read_only_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any(line.startswith("USER ") and line.split()[1] not in ("root", "0") for line in lines)
    assert lines.index("USER viewer") < next(place for place, line in enumerate(lines) if line.startswith("CMD"))
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "data:/data" in service["volumes"]


def test_settings_that_the_compose_file_names_are_settings() -> None:
    from foam_viz.settings import Settings

    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    for name in service["environment"]:
        assert name.removeprefix("FOAM_VIZ_").lower() in Settings.__dataclass_fields__, name
