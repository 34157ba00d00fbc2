"""Calibration and sweeps on the page of the threshold lab."""

from __future__ import annotations

import os
import signal
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from foam_viz.analysis.replay_setting import NoReplay, Setting
from foam_viz.engine.replay.client import EngineLost
from foam_viz.engine.sweep import spec
from foam_viz.ui.threshold import sliders, sweep_results, sweeping, sweeps
from tests.engine.conftest import until
from tests.ui.threshold.test_page import lab, ready, slider, state

pytestmark = pytest.mark.usefixtures("one_hub")

SMALL = """tasks: digits-autoencoder
optimizers: [foam]
seeds: [0]
steps: 30
settings:
  tau: [0.3, 0.75]
  width: 16
"""


def test_a_suggestion_is_explained_and_taken() -> None:
    app = ready(lab(view="calibrate"))
    text = " ".join(item.value for item in app.markdown)
    assert "float32 resolves" in text and "trace/n" in text
    assert len(app.metric) == 4 and app.dataframe
    app.text_input(key="threshold.unit").set_value("nonsense").run()
    assert any("must be a number above 0" in error.value for error in app.error)
    app.button(key="threshold.suggested").click().run()
    assert not app.exception and app.select_slider
    suggested = state(app).bench.calibration["setting"]["values"]
    assert slider(app, "epsilon").value == suggested["epsilon"]


def test_a_suggestion_is_written_in_symbols_with_units() -> None:
    app = ready(lab(view="calibrate"))
    reasons = [item.value.replace("\\", "") for item in app.markdown if item.value.startswith("**")]
    assert len(reasons) == 4 and not any(name in text for name in ("eps", "tau", "alpha") for text in reasons)
    assert any("α M / (p τ)" in text and "εₘₐₓ" in text for text in reasons)
    units = [f"{name}, gradient²" for name in ("ε₀", "εₘₐₓ", "Median of trace/n")]
    assert [one.label for one in app.metric] == ["τ", *units]
    assert all(" " not in one.value for one in app.metric), "a number with its unit is cut off on a narrow card"


def test_labels_under_a_slider_keep_apart() -> None:
    values = [10.0 ** (place / 10 - 8) for place in range(81)]
    quantiles = [10.0**exponent for exponent in np.linspace(-7, -1, 21)]
    found = sliders.marks(values, quantiles, 1e-9)
    places = [place for place, label, _ in found if label]
    assert len(found) == 6 and len(places) >= 4
    # On 215 pixels, as wide as a slider is in a window of 1280, "50 %" takes 25.
    assert min(np.diff(places)) * 215 >= 27


def _swept(app: AppTest, text: str) -> AppTest:
    app.text_area(key="threshold.sweep.text").set_value(text)
    app.button(key="threshold.sweep.start").click().run()
    assert not app.exception
    return app


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("taus: 3", "taus"),
        ("settings: {tau: [0.1, 2.0]}", "tau = 2"),
        (f"seeds: {list(range(1000))}\nsettings: {{tau: {[0.5] * 1000}}}", "1,000,000"),
        (f"seeds: {list(range(300))}", "at most 200"),
        ("a: [", "YAML"),
        ("tasks: tiny-gpt\nsettings: {text: /etc/passwd}", "text"),
        ("settings: {width: 100000}", "width"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_is_refused_before_anything_runs(text: str, told: str) -> None:
    app = _swept(ready(lab(view="sweep")), text)
    shown = " ".join(error.value.replace("\\", "") for error in app.error)
    assert told in shown
    owner = state(app).session.browser.id
    assert not [one for one in sweeping.known(state_settings(), owner) if one.trains]


def state_settings():
    from foam_viz.ui.server import hub

    return hub().settings


def test_a_sweep_trains_stops_resumes_and_tells_its_best() -> None:
    app = _swept(ready(lab(view="sweep")), SMALL)
    assert not app.error
    (one,) = sweeping.known(state_settings(), state(app).session.browser.id)
    with pytest.raises(sweeping.SweepRefused, match="Another sweep"):
        sweeping.PageSweep(one.folder).start()
    end = time.monotonic() + 300
    while one.trains and time.monotonic() < end:
        time.sleep(0.5)
    assert one.counts() == {"finished": 2}
    app.run()
    assert not app.exception
    (table,) = app.dataframe
    assert list(table.value["status"]) == ["finished", "finished"]
    assert "predicted" not in table.value, "runs of another width and length have other factors"
    assert any("No predictions" in one.value for one in app.caption)
    assert any("Lowest loss" in item.value for item in app.markdown)
    assert any("foam_viz train" in code.value for code in app.code)
    app.button(key="threshold.sweep.delete").click().run()
    assert not sweeping.known(state_settings(), state(app).session.browser.id)


def test_a_replay_predicts_runs_that_differ_in_thresholds_and_seed_alone() -> None:
    app = ready(lab(view="sweep"))
    bench = state(app).bench
    base = bench.truths.base
    given = {"tasks": base["task"], "steps": base["run_settings"]["steps"], "seeds": [0, 5]}
    numbers = {key: value for key, value in base["task_settings"].items() if isinstance(value, int)}
    own = {name: bench.own.values[name] for name in ("epsilon", "epsilon_max")}
    for changes, foretold in (({}, True), ({"width": 16}, False), ({"lr": 0.02}, False), ({"period": 20}, True)):
        runs = spec.build({**given, "settings": {**numbers, **own, "tau": 0.4, **changes}}).runs
        rows = [
            {"name": run.name, "task": base["task"], "optimizer": "foam", "seed": run.config["run_settings"]["seed"],
             **run.config["optimizer_settings"]}
            for run in runs
        ]  # fmt: skip
        found = sweep_results.predicted_settings(bench, rows, {run.name: run.config for run in runs})
        assert len(found) == (2 if foretold else 0), changes


@pytest.mark.parametrize("answer", ["told", "refused", "lost"])
def test_predictions_are_looked_for_again_and_never_waited_for(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    session = state(ready(lab(view="sweep")))
    bench, asked = session.bench, []
    runs = spec.build(yaml.safe_load(sweeps._begins_with(session))).runs
    rows = [
        {"name": run.name, "task": run.config["task"], "optimizer": "foam",
         "seed": run.config["run_settings"]["seed"], **run.config["optimizer_settings"]}
        for run in runs
    ]  # fmt: skip
    configs = {run.name: run.config for run in runs}

    class Replays:
        def summaries(self, path: object, settings: list[Setting], *, error_every: int) -> Future:
            assert path == bench.run.path and error_every == 0
            asked.append((settings, Future()))
            return asked[-1][1]

    monkeypatch.setattr(sweep_results, "replays", Replays)
    monkeypatch.setattr(sweep_results.st, "session_state", {})
    nothing = [None] * len(rows)
    for _ in range(3):
        assert sweep_results._predictions(session, rows, configs) == nothing and sweep_results.predicting()
    (settings, future), *more = asked
    assert not more and len(settings) == 3
    if answer == "told":
        future.set_result([SimpleNamespace(decompositions=count) for count in (7, 8, 9)])
    else:
        future.set_exception(NoReplay("it has none", "") if answer == "refused" else EngineLost("it ended"))
    assert not sweep_results.predicting(), "a page that shows other runs by now does not look again for ever"
    found = sweep_results._predictions(session, rows, configs)
    assert set(found) == ({7, 8, 9} if answer == "told" else {None})
    assert sweep_results.predicting() == (answer == "lost"), "only a lost engine is asked again"


def test_the_suggested_sweep_differs_from_the_run_in_thresholds_alone_and_what_was_typed_stays() -> None:
    app = ready(lab(view="sweep"))
    bench = state(app).bench
    text = app.text_area(key="threshold.sweep.text").value
    assert text == sweeps._begins_with(state(app)) and "tau: [0.3, 0.5, 0.75]" in text
    base = bench.truths.base
    told = {"optimizer_settings": {"lr": 0.02, "beta1": 0.8}, "run_settings": {"schedule": "linear-decay", "seed": 7}}
    for changes in ({}, told):
        bench.truths.base = {**base, **{part: {**base[part], **values} for part, values in changes.items()}}
        runs = spec.build(yaml.safe_load(sweeps._begins_with(state(app)))).runs
        rows = [
            {"name": run.name, "task": run.config["task"], "optimizer": "foam",
             "seed": run.config["run_settings"]["seed"], **run.config["optimizer_settings"]}
            for run in runs
        ]  # fmt: skip
        found = sweep_results.predicted_settings(bench, rows, {run.name: run.config for run in runs})
        assert len(found) == len(rows) == 6
    app.text_area(key="threshold.sweep.text").set_value(SMALL).run()
    for view in ("calibrate", "sweep"):
        app.session_state["threshold.view"] = view
        app.run()
    assert not app.exception and app.text_area(key="threshold.sweep.text").value == SMALL


def _ended(app: AppTest) -> sweeping.PageSweep:
    (one,) = sweeping.known(state_settings(), state(app).session.browser.id)
    until(lambda: not one.trains, 300)
    app.run()
    assert not app.exception
    return one


def test_a_scheduler_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("FOAM_VIZ_SCHEDULER", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        app = _swept(ready(lab(view="sweep")), SMALL)
        one = _ended(app)
    shown = " ".join(error.value.replace("\\", "") for error in app.error)
    assert "no Dask scheduler answers there" in shown and "unset FOAM_VIZ_SCHEDULER" in shown
    # Nothing is lost: the same sweep goes on once the scheduler is put right.
    monkeypatch.delenv("FOAM_VIZ_SCHEDULER")
    app.button(key="threshold.sweep.resume").click().run()
    assert _ended(app).counts() == {"finished": 2} and not app.error
    one.delete()


def _kill_workers(pid: int) -> int:
    """Kill the processes that train for a sweep; returns how many there were."""
    found = 0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
            found += 1
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes where Linux lists them")
def test_workers_that_die_are_told_and_their_runs_trained_again() -> None:
    app = _swept(ready(lab(view="sweep")), SMALL)
    (one,) = sweeping.known(state_settings(), state(app).session.browser.id)
    process = sweeping._processes[one.folder]

    def all_failed() -> bool:
        with suppress(OSError):
            _kill_workers(process.pid)
        return not one.trains

    until(all_failed, 300)
    app.run()
    assert not app.exception and one.counts() == {"failed": 2}
    assert any("2 runs failed" in warning.value for warning in app.warning)
    (table,) = app.dataframe
    assert all("its worker died twice" in message for message in table.value["message"])
    app.button(key="threshold.sweep.resume").click().run()
    assert _ended(app).counts() == {"finished": 2} and not app.warning
    one.delete()
