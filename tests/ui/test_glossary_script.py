"""Which words of a text the glossary explains, without a browser: glossary.js under node."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from foam_viz.lessons.glossary import BY_WORD, TERMS
from foam_viz.ui.board.assets import publish

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
TEXTS = {
    "The square root of the root mean square, and the inverse root.": ["inverse root"],
    "An inverse square root is no\u00a0square root of a factor.": ["factor"],
    "Its p is 2: the root that is taken.": ["root"],
    "A read-only root and a reverse proxy; the proxy h and its threshold τ.": ["proxy", "h", "threshold", "τ"],
    "In front of it, in turn; on the front the basis turns.": ["front", "basis", "turns"],
    "Larger by a factor of ten; the left factor of a layer.": ["left factor"],
    "It lasts 4 h, at most 24\u2009h, of which h is 0.81.": ["h"],
    "h/τ = 1.2 h and 30 r": ["h", "τ"],
    "Checkpoint, reroot, foam on the water, FOAM, bandwidth, seedling, left-over.": ["FOAM"],
    "ε₀, ε_max and ε; eps_max\u0303 is none.": ["ε₀", "ε_max", "ε"],
    "Press Shift+Tab, the grace period of 3 s, a period of 30 steps.": ["period"],
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    static = tmp_path_factory.mktemp("static")
    script = (static / publish(static).board.removeprefix("app/static/") / "glossary.js").as_uri()
    program = f"import {{ found }} from '{script}'; const texts = {json.dumps(list(TEXTS))};"
    program += "console.log(JSON.stringify(texts.map((text) => found(text).map(({ word }) => word))))"
    run = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "--eval", program], capture_output=True, timeout=60
    )
    assert run.returncode == 0, run.stderr.decode()
    return dict(zip(TEXTS, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("text", TEXTS)
def test_a_word_is_explained_only_where_the_term_is_meant(text: str, seen: dict[str, list[str]]) -> None:
    assert seen[text] == TEXTS[text]


def test_a_phrase_that_is_left_alone_holds_a_word_of_its_term_and_is_none() -> None:
    for term in TERMS:
        for phrase in term.not_in:
            folded = phrase.casefold()
            assert folded not in BY_WORD and any(word.casefold() in folded for word in (term.name, *term.also)), phrase
