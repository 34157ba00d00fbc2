"""A data directory that cannot be written to, or that is deleted: every page says so with the remedy, none fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.engine.server.hub import Hub
from foam_viz.settings import Settings
from tests.engine.conftest import delete, until
from tests.engine.test_task_files import TABLE
from tests.ui.pages import ROOT, lab, press, settle, state, visited

pytestmark = pytest.mark.usefixtures("one_hub")

PAGES = ("start", "live_lab", "threshold_lab", "lessons", "paper_figures", "run_logs", "glossary", "your_runs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "data"


@pytest.fixture(scope="module")
def hub_settings(folder: Path) -> Settings:
    return Settings(data_directory=folder, engines=1, device="cpu", runs_per_browser=50)


@pytest.fixture
def blocked(folder: Path) -> Iterator[Path]:
    """The directory is gone, and a file stands in its place: nothing can be written, not even by the superuser."""
    if folder.exists():
        delete(folder)
    folder.write_text("a file, not a folder")
    yield folder
    folder.unlink()


def told(app: AppTest) -> str:
    elements = [*app.error, *app.warning, *app.info, *app.caption]
    return " ".join(element.value for element in elements).replace("\\", "")


def names_the_remedy(app: AppTest) -> bool:
    words = told(app)
    assert not app.exception
    return "FOAM_VIZ_DATA_DIRECTORY" in words and "data_directory in config.toml" in words


def page(app: AppTest, name: str) -> AppTest:
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    return app


def test_a_run_says_that_it_is_not_kept(blocked: Path) -> None:
    app = press(lab(batch_size="16", lane="foam"), "do-check")
    settle(app)
    until(lambda: state(app).run().header.get("autosave_problem"))
    app.run()
    assert names_the_remedy(app) and "Autosave is off" in told(app)
    assert names_the_remedy(page(app, "your_runs")) and "No run yet" not in told(app)


@pytest.mark.parametrize(
    ("name", "query", "button"),
    [("start", {}, "run-recorded"), ("lessons", {"lesson": "how-stale"}, "run-live")],
)
def test_a_run_of_another_page_says_that_it_is_not_kept(
    blocked: Path, engines: Hub, name: str, query: dict[str, str], button: str
) -> None:
    app = press(visited(name, query), button)
    (run,) = engines.held()[-1:]
    until(lambda: run.header.get("autosave_problem"), 60)
    app.run()
    assert names_the_remedy(app) and "Autosave is off" in told(app)


def test_an_upload_says_that_it_is_not_kept(blocked: Path) -> None:
    app = page(lab(), "run_logs")
    app.get("file_uploader")[0].upload("a.csv", b"step,loss\n1,2\n2,1\n")
    app.run()
    assert names_the_remedy(app) and "The upload was not opened" in told(app)
    page(app, "threshold_lab")
    app.get("file_uploader")[0].upload("a.zip", b"PK")
    app.run()
    assert names_the_remedy(app)


def test_a_table_to_train_on_says_that_it_is_not_kept(blocked: Path) -> None:
    app = lab(v="2", task="csv", lane="adamw")
    app.file_uploader[0].upload("mine.csv", TABLE, "text/csv").run()
    app.run()
    assert names_the_remedy(app)


def test_a_sweep_says_that_it_cannot_be_started(blocked: Path) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["view"] = "sweep"
    page(app.run(), "threshold_lab")
    app.button(key="threshold.sweep.start").click().run()
    assert names_the_remedy(app) and "Nothing was started" in told(app)


def test_every_page_opens(blocked: Path) -> None:
    app = lab()
    for name in PAGES:
        page(app, name)


def test_a_directory_that_is_deleted_while_the_app_runs(engines: Hub, folder: Path) -> None:
    app = press(lab(batch_size="16", lane="foam"), "do-check")
    settle(app)
    page(app, "run_logs")
    app.get("file_uploader")[0].upload("a.csv", b"step,loss\n1,2\n2,1\n")
    app.run()
    until(lambda: list((folder / "runs" / state(app).view_id).rglob("steps.*")))
    delete(folder)
    for name in PAGES:
        page(app, name)
    page(app, "live_lab")
    press(app, "do-check")
    settle(app)
    until(lambda: state(app).run().header.get("autosave_problem"))
    app.run()
    assert names_the_remedy(app)
    press(app, "do-reset")
    press(app, "do-check")
    settle(app)
    until(lambda: len(engines.history.of(state(app).run().owner)) == 1, 30)  # a new run is kept again
    assert "Nothing is kept" not in told(page(app, "your_runs"))


def test_the_threshold_lab_and_your_runs_say_which_run_is_not_kept(engines: Hub, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    app = press(lab(batch_size="16", lane="foam"), "do-refresh")
    settle(app)
    run = state(app).run()
    until(lambda: list((folder / "runs" / run.view_id).rglob("stream.*.arrow")), 60)
    page(app, "threshold_lab")
    app.selectbox(key="threshold.run").set_value(f"{run.view_id}:0").run()
    assert not app.exception and "Autosave" not in told(app)
    with run.lock:
        run.header["autosave_problem"] = "Autosave is off since step 10: Read-only file system."
    app.run()
    assert "Autosave is off since step 10" in told(app)
    listed = told(page(app, "your_runs"))
    assert "Autosave is off since step 10" in listed and listed.startswith("FOAM ")
