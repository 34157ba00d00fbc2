from __future__ import annotations

import pytest

from foam_viz.figures.scene import Lane
from tests.synthetic import SyntheticRun

LABELS = {"foam": "FOAM", "shampoo": "Shampoo f = 50", "dr-shampoo": "DR", "adamw": "AdamW"}


@pytest.fixture(scope="session")
def lanes() -> list[Lane]:
    """One run of each kind, 700 steps."""
    runs = [SyntheticRun(kind, seed=i).advance(700) for i, kind in enumerate(LABELS)]
    return [Lane(run.trace, LABELS[run.optimizer], i) for i, run in enumerate(runs)]


@pytest.fixture(scope="session")
def long_lanes() -> list[Lane]:
    """One run of each kind, 10,000 steps."""
    runs = [SyntheticRun(kind, seed=i).advance(10_000) for i, kind in enumerate(LABELS)]
    return [Lane(run.trace, LABELS[run.optimizer], i) for i, run in enumerate(runs)]
