"""Hubs with engines of their own, ended after the test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foam_viz.engine.server.hub import Hub
from foam_viz.experiment import links
from foam_viz.experiment.config import Experiment
from foam_viz.settings import Settings


def experiment(*lanes: str, steps: int = 100_000, **task_settings: object) -> Experiment:
    """An experiment of small batches; lanes as in links."""
    query = {"lane": lanes or ("foam", "shampoo"), "batch_size": ("16",), "steps": (str(steps),)}
    made, errors = links.from_query(query)
    assert not errors
    return made


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits for a condition; fails the test after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def delete(folder: Path) -> None:
    """Deletes a folder that others write into: it is gone at once, so nothing new appears while it is emptied."""
    aside = folder.rename(folder.with_name(f"{folder.name} deleted"))
    shutil.rmtree(aside)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_directory=tmp_path / "data",
        engines=1,
        device="cpu",
        grace_seconds=1.0,
        part_seconds=0.2,
        checkpoint_seconds=1.0,
    )


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    made = Hub(settings)
    assert made.ready(180)
    yield made
    made.close()
