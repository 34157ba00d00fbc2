"""Every page has one heading of the first rank, be it in sight or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from foam_viz.ui.style import heading

PAGES = Path(__file__).parents[2] / "pages"
UI = Path(heading.__code__.co_filename).parent


@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.py")))
def test_a_page_says_what_it_is(page: str) -> None:
    folders = {"live_lab": "lab", "threshold_lab": "threshold", "glossary": "lessons", "paper_figures": "lessons"}
    name = folders.get(page, page)
    sources = [PAGES / f"{page}.py", UI / f"{name}.py", *(UI / name).glob("*.py")]
    text = "\n".join(path.read_text() for path in sources if path.exists())
    assert "st.title(" in text or "heading(" in text, page
