"""The server that pages of these tests find: a hub of its own for each module that asks for ``one_hub``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foam_viz.engine.server.hub import Hub
from foam_viz.settings import Settings
from foam_viz.ui import server


@pytest.fixture(scope="module")
def hub_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of the hub; a module may have its own."""
    return Settings(data_directory=tmp_path_factory.mktemp("data"), engines=1, device="cpu", runs_per_browser=50)


@pytest.fixture(scope="module")
def engines(hub_settings: Settings) -> Iterator[Hub]:
    made = Hub(hub_settings)
    assert made.ready(180)
    yield made
    made.close()


@pytest.fixture
def one_hub(engines: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of the test finds this hub."""
    monkeypatch.setattr(server, "_hub", engines)
