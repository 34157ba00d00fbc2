"""The page Your runs: what this browser trained is found, opened, renamed, downloaded and deleted; no other's is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.engine.replay.plan import prepare_path
from foam_viz.engine.server import your_runs
from foam_viz.engine.server.hub import ControlRefused, Hub
from foam_viz.recording import stream
from foam_viz.recording.stream import archives
from foam_viz.trace.disk import bundle
from foam_viz.ui import take_away
from foam_viz.ui.your_runs import zipped
from tests.engine.conftest import until
from tests.ui.pages import lab, press, settle, state

pytestmark = pytest.mark.usefixtures("one_hub")


def kept(engines: Hub, app: AppTest) -> list:
    return your_runs.all_of(engines, state(app).session.browser.id)


@pytest.fixture
def trained(engines: Hub) -> AppTest:
    app = press(lab(batch_size="16", lane=["foam", "adamw"]), "do-check")
    settle(app)
    until(lambda: [run.step for run in kept(engines, app)] == [10])
    return app


def test_a_browser_finds_its_runs_and_opens_one_again(trained: AppTest, engines: Hub) -> None:
    app, view_id = trained, state(trained).view_id
    press(app, "do-reset")
    settle(app)
    assert state(app).view_id != view_id
    app.switch_page("pages/your_runs.py").run()
    assert not app.exception
    shown = " ".join(markdown.value for markdown in app.markdown)
    assert "Digits autoencoder" in shown and "FOAM" in shown and "AdamW" in shown and "10" in shown
    app.button(key=f"open-{view_id}").click().run()
    assert not app.exception
    assert state(app).view_id == view_id
    app.switch_page("pages/live_lab.py").run()  # the page's own switch reaches browsers alone
    settle(app)
    assert state(app).run().step == 10
    assert app.button(key="do-start").disabled is False  # it is this browser's


def test_a_run_is_renamed_and_deleted(trained: AppTest, engines: Hub) -> None:
    app, view_id, owner = trained, state(trained).view_id, state(trained).session.browser.id
    app.switch_page("pages/your_runs.py").run()
    app.text_input(key=f"name-{view_id}").set_value("  before\nthe *shift* ").run()
    assert not app.exception
    assert [run.name for run in kept(engines, app)] == ["before the *shift*"]
    assert any(markdown.value.replace("\\", "") == "before the *shift*" for markdown in app.markdown)
    for stranger in ("", "somebody else"):
        with pytest.raises(ControlRefused):
            your_runs.delete(engines, view_id, stranger)
        assert your_runs.all_of(engines, stranger or "x") == []
    with pytest.raises(KeyError):
        your_runs.rename(engines, "../../etc", owner, "x")
    folder = engines.settings.data_directory / "runs" / view_id
    assert folder.exists()
    app.button(key=f"delete-{view_id}").click().run()
    assert not app.exception and not app.error
    assert not folder.exists()
    assert kept(engines, app) == []
    assert any("No run yet" in info.value for info in app.info)


def test_a_run_that_trains_is_not_deleted(engines: Hub) -> None:
    app = press(lab(batch_size="16", lane="adamw"), "do-start")
    until(lambda: kept(engines, app))
    view_id, owner = state(app).view_id, state(app).session.browser.id
    assert "pause it first" in your_runs.delete(engines, view_id, owner)
    app.run()
    press(app, "do-pause")


def test_a_download_holds_every_lane(trained: AppTest, engines: Hub, tmp_path: Path) -> None:
    traces = your_runs.traces(engines, state(trained).view_id)
    with zipfile.ZipFile(io.BytesIO(zipped(traces))) as archive:
        archive.extractall(tmp_path)
    assert [bundle.read(tmp_path / f"lane-{lane}").rows("steps") for lane in (1, 2)] == [10, 10]
    (tmp_path / "one.zip").write_bytes(zipped(traces[:1]))
    assert bundle.read(tmp_path / "one.zip").rows("steps") == 10


def test_a_downloaded_bundle_holds_the_factors_and_is_replayed(engines: Hub, tmp_path: Path) -> None:
    app = press(lab(batch_size="16", lane=["foam", "shampoo"]), "do-refresh")
    settle(app)
    view_id = state(app).view_id
    places = your_runs.lanes(engines, view_id)
    until(lambda: all(stream.size_of(place) for place in places))
    until(lambda: [run.step for run in kept(engines, app)][0] >= 10)
    traces = your_runs.traces(engines, view_id)
    both = tmp_path / "both.zip"
    both.write_bytes(zipped(traces, places))
    assert archives.bundles_in(both) == ["lane-1/", "lane-2/"]
    one = tmp_path / "one.zip"
    one.write_bytes(zipped(traces[:1], places[:1]))
    archives.take_out(both, "lane-1/", tmp_path / "first.zip")
    lab_one = tmp_path / "lab.zip"
    lab_one.write_bytes(take_away.zipped(traces[0], places[0]))
    for archive in (one, tmp_path / "first.zip", lab_one):
        plan = prepare_path(archive)
        assert plan.run().exact and plan.run().differs(traces[0].checks) == 0
    app.switch_page("pages/your_runs.py").run()
    assert not app.exception
