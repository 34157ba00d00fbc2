"""Makes the screenshots of README and documentation: ``make screenshots``, in both themes.

``docs/screenshots/stamp.json`` keeps a hash of the sources that each one shows; a test compares, so that no screenshot
is older than the page it shows. ``python docs/screenshots.py NAME ...`` makes those named.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "screenshots"
STAMP = FOLDER / "stamp.json"
THEMES = ("light", "dark")
_ALL = (".streamlit/config.toml", "foam_viz/ui/style.py", "foam_viz/figures/theme.py", "foam_viz/ui/board/board_assets")


@dataclass(frozen=True)
class Shot:
    """A screenshot.

    Attributes:
        name: Of the files, before the theme.
        path: The page, below the server's address.
        sources: Files and folders that decide what it shows, besides those of all pages.
        ready: Selector of what must be there.
        act: What is done on the page first.
        size: Of the window.
    """

    name: str
    path: str
    sources: Sequence[str]
    ready: str = ".fb-plot .main-svg"
    act: Callable[[Any], None] = lambda page: None
    size: tuple[int, int] = (1280, 800)

    @property
    def stamp(self) -> str:
        """Hash of the sources."""
        digest = hashlib.sha256()
        for source in (*_ALL, *self.sources):
            place = ROOT / source
            files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
            for path in files:
                if "__pycache__" not in path.parts:
                    digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:16]


def _train(page: Any) -> None:
    page.get_by_role("button", name="Start", exact=True).click()
    step = "() => +document.querySelector('.fb-item dd')?.textContent.replace(/,/g, '') > 200"
    page.wait_for_function(step, timeout=180_000)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(2500)


def _stop(page: Any) -> None:
    page.wait_for_timeout(6000)
    page.get_by_label("Stop playing").click()
    page.wait_for_timeout(1500)


def _prepare(page: Any) -> None:
    page.get_by_role("button", name="Stop preparing").wait_for(state="hidden", timeout=180_000)
    page.wait_for_timeout(4000)


SHOTS: tuple[Shot, ...] = (
    Shot("start", "", ("foam_viz/ui/start",), act=_stop),
    Shot("lab", "live-lab", ("foam_viz/ui/lab",), ready=".fb-card", act=_train),
    Shot("lesson", "lessons?lesson=how-stale", ("foam_viz/ui/lessons", "foam_viz/lessons/how_stale.py"), act=_stop),
    Shot("presenter", "lessons?lesson=how-stale&present=true&slide=2",
         ("foam_viz/ui/classroom/presenter.py", "foam_viz/lessons/how_stale.py"), act=_stop, size=(1280, 720)),
    Shot("threshold", "threshold-lab", ("foam_viz/ui/threshold",), act=_prepare),
    Shot("logs", "run-logs?sample=digits-autoencoder-foam&sample=digits-autoencoder-shampoo"
         "&sample=digits-autoencoder-shampoo-f200", ("foam_viz/ui/run_logs",)),
)  # fmt: skip


def take(shots: Sequence[Shot]) -> None:
    """Make screenshots, and stamp them."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT))
    from benchmarks.server import CHROMIUM_FLAGS, Server, chromium

    stamps = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home), FOAM_VIZ_ENGINES="1") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        for shot in shots:
            for theme in THEMES:
                size = dict(zip(("width", "height"), shot.size, strict=True))
                context = browser.new_context(viewport=size, color_scheme=theme)
                context.add_init_script('localStorage.setItem("foam_viz:tour", "seen")')
                page = context.new_page()
                page.goto(f"{server.url}/{shot.path}")
                page.locator(shot.ready).first.wait_for(timeout=180_000)
                page.wait_for_timeout(2000)
                shot.act(page)
                image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                    FOLDER / f"{shot.name}-{theme}.png", optimize=True
                )
                context.close()
            stamps[shot.name] = shot.stamp
            kept = {each.name: stamps[each.name] for each in SHOTS if each.name in stamps}
            STAMP.write_text(json.dumps(kept, indent=1) + "\n")
            print(shot.name)


def main(names: Sequence[str]) -> None:
    """Make those named, or all."""
    unknown = set(names) - {shot.name for shot in SHOTS}
    if unknown:
        sys.exit(f"no screenshot {', '.join(sorted(unknown))}; there are {', '.join(shot.name for shot in SHOTS)}")
    take([shot for shot in SHOTS if not names or shot.name in names])


if __name__ == "__main__":
    main(sys.argv[1:])
