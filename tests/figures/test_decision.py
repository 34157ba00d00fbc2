from __future__ import annotations

import math

import pytest

from foam_viz.analysis.settings import Settings
from foam_viz.figures.look import Look
from foam_viz.figures.panels import decision
from foam_viz.figures.scene import Lane, Scene

FOAM = Settings(tau=0.75, epsilon=1e-9, epsilon_max=1e-5, period=10, start=10, lr=None, residual=False)
DR = Settings(tau=0.2, epsilon=1e-9, epsilon_max=None, period=10, start=10, lr=None, residual=True)
PLAIN = Settings(tau=None, epsilon=1e-9, epsilon_max=None, period=50, start=10, lr=None, residual=False)


@pytest.mark.parametrize(
    ("word", "drift", "before", "after", "settings", "text"),
    [
        (
            "reuse", 0.81, 1e-6, 1.08e-6, FOAM,
            "h = 0.810 > τ = 0.75, so ε goes from 1.0e-6 to 1.08e-6, below εₘₐₓ = 1e-5: keep the basis.",
        ),
        ("reuse", 0.3, 1e-9, 1e-9, FOAM, "h = 0.300 ≤ τ = 0.75, so ε stays at ε₀ = 1.0e-9: keep the basis."),
        ("reuse", 0.3, 4e-9, 1.6e-9, FOAM, "h = 0.300 ≤ τ = 0.75, so ε goes from 4.0e-9 to 1.6e-9: keep the basis."),
        (
            "cap", 1.5, 8e-6, 1e-9, FOAM,
            "h = 1.50 > τ = 0.75, so ε would go from 8.0e-6 to 1.6e-5, above εₘₐₓ = 1e-5: "
            "decompose, and ε goes back to ε₀ = 1e-9.",
        ),
        ("threshold", 0.31, 1e-9, 1e-9, DR, "r = 0.310 > τ = 0.2: the basis has drifted too far."),
        ("cadence", 1.2, 1e-9, 1e-9, PLAIN, "This optimizer decomposes at every check; h = 1.20."),
        ("first", math.nan, 1e-9, 1e-9, FOAM, "There was no basis yet, and the first check always decomposes."),
        ("failure", math.nan, 1e-9, 1e-9, FOAM, "h was not a finite number, so the basis cannot be trusted."),
        ("", math.nan, math.nan, math.nan, PLAIN, "h was not measured."),
    ],
)  # fmt: skip
def test_sentences(word: str, drift: float, before: float, after: float, settings: Settings, text: str) -> None:
    assert decision.sentence(word, drift, before, after, settings) == text


def test_the_card_shows_the_last_check(lanes: list[Lane]) -> None:
    drawing = decision.draw(Scene(lanes, Look(factor=2)))
    rows = {label: value for label, value, _ in drawing.text}
    assert drawing.moment == "check of step 700" and len(rows) <= 9, "more would not fit into the card"
    assert rows["τ"] == "0.75" and rows["εₘₐₓ"] == "3e-7"
    assert rows["decision"] in ("Keep the basis", "Decompose, by cap")
    assert "of 70 checks" in rows["spent so far"]
