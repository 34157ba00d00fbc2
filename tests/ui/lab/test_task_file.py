"""The page takes a table of one's own: a preview, target and columns, and a refusal that stops Start."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.tasks import uploads
from tests.engine.test_task_files import TABLE
from tests.ui.pages import lab, press, settle, state

pytestmark = pytest.mark.usefixtures("one_hub")


def test_a_table_is_uploaded_previewed_and_chosen_from() -> None:
    app: AppTest = lab(v="2", task="csv", lane="adamw")
    app.file_uploader[0].upload("mine.csv", TABLE, "text/csv").run()
    assert not app.exception
    settings = state(app).experiment.task_settings
    assert uploads.is_upload(settings["table"])
    assert any("40 rows of 3 columns" in caption.value for caption in app.caption)
    target = next(box for box in app.selectbox if box.label == "Target")
    assert target.value == "y"
    target.set_value("a").run()
    columns = next(box for box in app.multiselect if box.label == "Columns")
    assert columns.value == ["b, or c", "y"]
    columns.set_value(["b, or c"]).run()
    settings = state(app).experiment.task_settings
    assert (settings["target"], settings["columns"]) == ("a", '"b, or c"')
    app.button(key="task-file-drop").click().run()
    assert state(app).experiment.task_settings["table"] is None and not app.exception


def test_a_table_that_cannot_be_used_stops_start_and_says_why() -> None:
    app: AppTest = lab(v="2", task="csv", lane="adamw")
    app.file_uploader[0].upload("mine.csv", b"a,b\n1,2\n", "text/csv").run()
    app.run()
    words = " ".join(caption.value for caption in app.caption)
    assert "table \\= mine" in words or "table = mine" in words
    assert "add rows" in words
    assert any("at least 20 rows" in str(error) for _, error in state(app).next.refused)
    assert app.button(key="do-start").disabled or "table" in press(app, "do-start").error[0].value


def test_what_was_uploaded_is_trained_by_the_engine() -> None:
    app: AppTest = lab(v="2", task="csv", lane="adamw")
    app.file_uploader[0].upload("mine.csv", TABLE, "text/csv").run()
    app = press(app, "do-step")
    settle(app)
    run = state(app).run()
    assert run.traces[0].values("steps", "step").tolist() == [1]
    assert uploads.is_upload(run.experiment.task_settings["table"])
    assert run.experiment.task_settings["table"] in app.query_params["table"]
