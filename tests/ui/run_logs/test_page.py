"""The page of logs as Streamlit runs it, without a browser."""

from __future__ import annotations

import json
import time

import pytest
from streamlit.testing.v1 import AppTest

from foam_viz.engine.server.hub import Hub
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment import config, cost
from foam_viz.logs.core.reader import ColumnRule
from foam_viz.settings import Settings
from foam_viz.trace import Manifest, Trace
from foam_viz.ui.run_logs import sources as logs_sources
from foam_viz.ui.session.logs import OPENS_WITH, Logs
from tests.ui.pages import ROOT

pytestmark = pytest.mark.usefixtures("one_hub")

GOOD = b"iteration,train_loss,elapsed\n" + b"".join(b"%d,%.3f,%d\n" % (i, 5 / i, 100 * i) for i in range(1, 60))
SPIKED = b"step,loss\n" + b"".join(b"%d,%s\n" % (i, b"nan" if i > 30 else b"%.3f" % (5 / i)) for i in range(1, 50))


@pytest.fixture(scope="module")
def hub_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("served")
    (folder / "watched.csv").write_bytes(GOOD)
    data = tmp_path_factory.mktemp("data")
    return Settings(data_directory=data, engines=1, device="cpu", log_folders=(folder,))


def page(**query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.run()
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("pages/run_logs.py").run()
    assert not app.exception
    return app


def state(app: AppTest) -> Logs:
    return app.session_state["session"].logs


def settle(app: AppTest) -> AppTest:
    """Waits until nothing is being read, then draws the page again."""
    end = time.monotonic() + 90
    while not all(source.job.done() for source in state(app).open.pending):
        assert time.monotonic() < end, "reading takes too long"
        time.sleep(0.05)
    app.run()
    assert not app.exception
    return app


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    uploader = app.get("file_uploader")[0]
    for name, content in files:
        uploader.upload(name, content)
    app.run()
    assert not app.exception
    return settle(app)


def words(app: AppTest) -> str:
    return " ".join(element.value for element in [*app.markdown, *app.caption, *app.warning])


def switch(app: AppTest, view: str) -> AppTest:
    app.segmented_control(key="logs.tab").set_value(view).run()
    assert not app.exception
    return app


def test_the_page_opens_with_recorded_runs_side_by_side() -> None:
    app = page()
    labels = app.multiselect(key="logs.chosen").value
    assert len(labels) == len(OPENS_WITH)
    assert app.selectbox(key="logs.x").value == "step"
    assert switch(app, "inspect").session_state["logs-inspect-board looking"].source.startswith("sample:")


def test_an_upload_is_recognised_beside_one_that_is_broken() -> None:
    app = upload(page(), ("good.csv", GOOD), ("broken.csv", b"PK\x03\x04 not a zip"), ("empty.jsonl", b""))
    assert app.segmented_control(key="logs.tab").value == "runs"
    runs = [run for run in state(app).runs() if run.source]
    assert [run.label for run in runs] == ["good"]
    assert runs[0].trace.values("steps", "loss")[0] == 5.0
    shown = words(app)
    assert "broken\\.csv" in shown and "empty\\.jsonl" in shown
    assert "could not be read" in app.expander[0].label or any("could not be read" in e.label for e in app.expander)
    table = app.dataframe[0].value
    assert table["Run"].iloc[0] == "good" and table["Rows"].iloc[0] == 59
    assert str(state(app).sources[0].folder) not in shown  # where uploads lie is nobody's business


def test_a_corrected_column_is_read_anew_and_remembered() -> None:
    app = upload(page(), ("run.csv", GOOD.replace(b"elapsed", b"waited")))
    run = next(run for run in state(app).runs() if run.source)
    assert not run.trace.has("steps", "optimizer_seconds")
    rules = {"waited": ColumnRule(target="optimizer_seconds", unit="s", scale=0.001)}
    state(app).open.correct(run.trace, rules)
    settle(app)
    again = next(run for run in state(app).runs() if run.source)
    assert again.trace.values("steps", "optimizer_seconds")[1] == pytest.approx(0.2)
    assert any(button.key == "logs.forget" for button in app.button)
    upload(app, ("other.csv", GOOD.replace(b"elapsed", b"waited")))
    assert all(r.trace.has("steps", "optimizer_seconds") for r in state(app).runs() if r.source)
    other = upload(page(), ("other.csv", GOOD.replace(b"elapsed", b"waited")))  # of another browser
    assert not next(r for r in state(other).runs() if r.source).trace.has("steps", "optimizer_seconds")
    app.button(key="logs.forget").click().run()
    settle(app)
    assert not any(r.trace.has("steps", "optimizer_seconds") for r in state(app).runs() if r.source)


def test_a_text_log_of_another_kind_takes_a_pattern() -> None:
    text = b"".join(b"<%d> value is %.2f now\n" % (i, 3 / i) for i in range(1, 30))
    app = upload(page(), ("odd.txt", text))
    assert not [run for run in state(app).runs() if run.source]
    source = state(app).sources[0]
    app.text_input(key=f"logs.pattern.{source.id}").input(r"<(?P<step>\d+)> value is (?P<loss>[\d.]+)").run()
    assert not app.exception
    assert any("loss" in frame.value.columns for frame in app.dataframe)
    shown = " ".join(element.value for element in app.markdown)
    assert "29 of 29 lines hold values by the pattern given" in shown
    assert r":orange-background[3\.00]" in shown  # the value of the first line, set off
    app.button(key=f"apply-{source.id}").click().run()
    settle(app)
    run = next(run for run in state(app).runs() if run.source)
    assert run.trace.values("steps", "loss")[2] == 1.0


def test_records_that_span_lines_take_a_grammar() -> None:
    lines = (b"== %d ==\nloss is %.2f\nnoise\n" % (i, 3 / i) for i in range(1, 30))
    app = upload(page(), ("odd.txt", b"".join(lines)))
    source = state(app).sources[0]
    app.text_input(key=f"logs.pattern.{source.id}").input(r"^== (?P<step>\d+)").run()
    app.text_input(key=f"logs.pattern.inside.{source.id}").input(r"(?P<name>\w+) is (?P<value>\S+)").run()
    assert not app.exception
    assert "58 of 87 lines hold values" in " ".join(element.value for element in app.markdown)
    app.button(key=f"apply-{source.id}").click().run()
    settle(app)
    run = next(run for run in state(app).runs() if run.source)
    assert run.trace.values("steps", "loss")[2] == 1.0
    app.text_input(key=f"logs.pattern.closes.{source.id}").input("(").run()
    assert any("cannot be compiled" in element.value for element in app.error)


def test_a_finding_leads_to_its_moment() -> None:
    app = switch(upload(page(), ("sick.csv", SPIKED)), "inspect")
    found = [button for button in app.button if button.key and button.key.startswith("finding-")]
    assert found and "step 31" in found[0].label
    found[0].click().run()
    assert not app.exception
    assert list(state(app).moments.values()) == [31]
    assert app.session_state["logs-inspect-board looking"].look["at"] == 31


def test_comparison_reaches_targets_and_withholds_times() -> None:
    app = switch(upload(page(), ("good.csv", GOOD), ("sick.csv", SPIKED)), "compare")
    app.text_input(key="logs.target").input("0.5").run()
    app.selectbox(key="logs.smoothing").select("none").run()
    app.selectbox(key="logs.x").select("total_time").run()
    assert not app.exception
    assert app.checkbox(key="logs.confirmed").value is False
    app.checkbox(key="logs.confirmed").check().run()
    assert state(app).browser.confirmed
    assert (app.query_params["x"], app.query_params["target"]) == ("total_time", "0.5")
    app.selectbox(key="logs.x").select("step").run()
    assert not app.checkbox


def test_markup_in_names_is_text() -> None:
    nasty = b"step,loss,<img src=x onerror=alert(1)>\n" + b"".join(b"%d,%d,1\n" % (i, i) for i in range(1, 9))
    app = upload(page(), ("[click](http://evil) **x**.csv", nasty))
    for view in ("runs", "inspect", "compare"):
        switch(app, view)
        for element in [*app.markdown, *app.caption, *app.info, *app.warning]:
            assert "[click](http" not in element.value
            assert "<img" not in element.value or "\\<img" in element.value


def test_secrets_are_masked_until_asked_for() -> None:
    log = {"config": {"api_key": "sk-abcdefghijklmnop1234"}, "log_history": [{"step": i, "loss": i} for i in range(9)]}
    app = upload(page(), ("trainer_state.json", json.dumps({**log, "global_step": 8}).encode()))
    shown = " ".join(code.value for code in app.code)
    assert "sk-abcdefghijklmnop1234" not in shown


def test_a_session_has_room_for_so_much_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_sources, "MOST_MB", 0)
    app = upload(page(), ("good.csv", GOOD))
    assert not state(app).sources
    assert any("remove an upload first" in warning.value for warning in app.warning)


def test_removing_a_source_deletes_its_files() -> None:
    app = upload(page(), ("good.csv", GOOD))
    source = state(app).sources[0]
    assert source.folder.exists()
    app.button(key=f"remove-{source.id}").click().run()
    assert not app.exception
    assert not source.folder.exists()
    assert not [run for run in state(app).runs() if run.source]


def test_a_folder_of_the_server_is_watched(engines: Hub) -> None:
    app = page()
    app.text_input(key="logs.folder").input("../").run()
    assert any("log\\_folders" in warning.value for warning in app.warning)
    app.text_input(key="logs.folder").input(".").run()
    settle(app)
    run = next(run for run in state(app).runs() if run.source)
    assert run.trace.rows("steps") == 59
    app.toggle(key=f"watch-{run.source.id}").set_value(True).run()
    with open(engines.settings.log_folders[0] / "watched.csv", "ab") as file:
        file.write(b"60,0.01,6000\n")
    app.run()
    assert state(app).open.pending
    settle(app)
    assert next(run for run in state(app).runs() if run.source).trace.rows("steps") == 60


def test_a_live_run_is_laid_over_the_logs() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/live_lab.py").run()
    app.button(key="do-step").click().run()
    app.session_state["session"].lab.run().wait(60)
    app.switch_page("pages/run_logs.py").run()
    app.toggle(key="logs.live").set_value(True).run()
    assert not app.exception
    names = app.multiselect(key="logs.chosen").options
    assert sum(name.startswith("live: ") for name in names) == 2
    assert names[0].startswith("live: FOAM") and len(names) == 2 + len(OPENS_WITH)


def test_a_live_run_before_its_first_step_has_nothing_to_compare() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/live_lab.py").run()
    app.session_state["inside"] = True
    app.run()
    app.button(key="phase-gradient").click().run()
    app.session_state["session"].lab.run().wait(60)
    view_id = app.session_state["session"].lab.view_id
    app.switch_page("pages/run_logs.py").run()
    app.toggle(key="logs.live").set_value(True).run()
    app.multiselect(key="logs.chosen").set_value([f"live/{view_id}/0"]).run()
    assert not app.exception
    assert any("recorded no numbers yet" in caption.value for caption in app.caption)


def test_a_live_run_that_began_anew_is_shown_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset puts other traces in the place of those that the panels hold; the page is drawn again then."""
    experiment = config.build(lanes=[("adamw", {})])[0]
    lab = LabRun(
        "v" * 32, experiment, "cpu", "", cost.project(experiment), owner="", browser="", header={"running": True}
    )
    lab.traces = [Trace.empty(Manifest(run_id="a", name="a"))]
    logs = Logs(None, {}, [], with_live=True)
    monkeypatch.setattr(Logs, "live_run", lambda self: lab)
    shown = list(logs._live())
    assert not logs.replaced(shown)
    lab.traces = [Trace.empty(Manifest(run_id="a", name="a"))]
    assert logs.replaced(shown)
    lab.traces = []
    assert logs.replaced(shown)


def test_a_link_reopens_the_view() -> None:
    app = page(tab="inspect", sample="digits-autoencoder-diverged", scale="7", smoothing="window", x="nonsense")
    assert state(app).view["tab"] == "inspect"
    assert [run.label for run in state(app).runs()] == [state(app).runs()[0].trace.manifest.name]
    assert any("nonsense" in warning.value for warning in app.warning)
    switch(app, "compare")
    assert app.text_input(key="logs.scale").value == "7"
    assert app.query_params["sample"] == "digits-autoencoder-diverged"


def test_the_link_holds_what_is_compared_and_how_it_is_inspected() -> None:
    app = page()
    keys = [run.key for run in state(app).runs()]
    app.multiselect(key="logs.chosen").set_value(keys[:2]).run()
    app.selectbox(key="logs.baseline").select(keys[1]).run()
    switch(app, "inspect")
    app.selectbox(key="logs.inspected").select(keys[2]).run()
    here = state(app)  # as the board tells it
    here.factor, here.loss_axis, here.measure, here.cards = 3, "decompositions", "r", ("loss", "raster")
    app.run()
    link = dict(app.query_params)
    assert (link["runs"], link["baseline"], link["run"]) == (keys[:2], keys[1], keys[2])
    again = page(**link)
    assert (state(again).chosen, state(again).baseline, state(again).run) == (keys[:2], keys[1], keys[2])
    there = state(again)
    assert (there.factor, there.loss_axis, there.measure) == (3, "decompositions", "r")
    assert there.cards == ("loss", "raster")
    assert not again.warning


def test_an_answer_of_a_browser_that_has_not_heard_of_new_runs_chooses_nothing() -> None:
    """While an upload is read the browser may still send the samples that were compared before: nobody chose them."""
    app = page()
    samples = [run.key for run in state(app).runs()]
    upload(app, ("run.csv", GOOD))
    switch(app, "compare")
    mine = [run.key for run in state(app).runs() if run.source]
    assert app.multiselect(key="logs.chosen").value == mine
    app.multiselect(key="logs.chosen").set_value(samples).run()  # what the browser had
    assert state(app).chosen is None and app.multiselect(key="logs.chosen").value == mine
    app.multiselect(key="logs.chosen").set_value([*mine, samples[0]]).run()  # what a reader chooses
    assert state(app).chosen == [*mine, samples[0]]


def test_a_run_of_a_link_that_is_not_open_here_is_named() -> None:
    app = page(tab="inspect", run="0123456789abcdef/a run of another browser")
    assert app.query_params["run"] == "0123456789abcdef/a run of another browser"  # its browser may still be told
    session = app.session_state["session"]
    session.recognise("0" * 32)
    app.run()
    assert any("is open in this browser" in warning.value for warning in app.warning)
    assert app.query_params["run"] == "sample/digits-autoencoder-foam"


def test_a_reload_restores_uploads_selections_and_corrections() -> None:
    app = upload(page(), ("run.csv", GOOD), ("other.csv", SPIKED))
    secret = app.session_state["session"].secret
    app.session_state["session"].recognise(secret)
    keys = [run.key for run in state(app).runs() if run.source]
    switch(app, "compare")
    app.multiselect(key="logs.chosen").set_value(keys[:1]).run()
    app.selectbox(key="logs.baseline").select(keys[0]).run()
    for link in (dict(app.query_params), {}):  # a reload, and a new tab without a link
        again = page(**link)
        again.session_state["session"].recognise(secret)
        again.run()
        assert [run.key for run in state(again).runs() if run.source] == keys
        assert (state(again).chosen, state(again).baseline) == (keys[:1], keys[0])
        assert not again.warning
    again.button(key="logs.forget-files").click().run()
    app.run()
    assert not state(app).sources and not state(again).sources


def test_another_link_is_opened_in_a_tab_that_has_the_page_already() -> None:
    app = page()
    app.switch_page("pages/live_lab.py").run()
    app.query_params.clear()
    app.query_params["x"] = "fair_time"
    app.switch_page("pages/run_logs.py").run()
    assert not app.exception
    assert app.selectbox(key="logs.x").value == "fair_time"
