"""The threshold lab as Streamlit runs it, without a browser: sliders, refusals, links."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import SelectSlider

from foam_viz import cli
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Scene
from foam_viz.files import SAMPLE_RUNS
from foam_viz.recording import stream
from foam_viz.trace.disk import bundle
from foam_viz.ui.session.threshold import Threshold
from foam_viz.ui.threshold import page as page_module
from foam_viz.ui.threshold import snapshots
from foam_viz.ui.threshold.source import ReplaySource
from foam_viz.ui.threshold.truths import configured
from tests import streams
from tests.engine.conftest import until
from tests.logs.make_foam_artifact import make_foam_artifact, write_snapshot
from tests.ui.pages import visited

pytestmark = pytest.mark.usefixtures("one_hub")

SAMPLE = "sample:digits-autoencoder-foam-factors"


def lab(**query: str) -> AppTest:
    return visited("threshold_lab", query)


def slider(app: AppTest, name: str) -> SelectSlider:
    """The slider of a setting, whatever values it offers."""
    return next(one for one in app.select_slider if (one.key or "").startswith(f"threshold.{name}."))


def state(app: AppTest) -> Threshold:
    return app.session_state["session"].threshold


def ready(app: AppTest) -> AppTest:
    bench = state(app).bench
    until(lambda: bench.problem or (bench.own is not None and bench.calibration is not None), 300)
    app.run()
    assert not app.exception
    return app


def test_a_sample_is_prepared_and_a_slider_replays_it() -> None:
    app = ready(lab())
    bench = state(app).bench
    assert bench.run.key == SAMPLE
    names = {(one.key or "").split(".")[1] for one in app.select_slider}
    assert names == {"period", "tau", "epsilon", "epsilon_max"}
    until(lambda: bench.study.what_if is not None, 300)
    before = bench.study.what_if.decompositions
    slider(app, "tau").set_value(0.2).run()
    until(lambda: bench.study.what_if.setting.values["tau"] == 0.2, 300)
    assert bench.study.what_if.decompositions > before and bench.study.what_if.open_loop
    assert state(app).query()["tau"] == ["0.2"]


def test_back_to_the_recorded_setting_leaves_nothing_in_the_link() -> None:
    app = ready(lab(tau="0.5", epsilon_max="3e-5"))
    slider(app, "tau").set_value(0.2)  # still under way when the button is pressed
    app.button(key="threshold.back").click().run()
    assert not app.exception
    assert not state(app).changes and state(app).setting(state(app).bench.own) == state(app).bench.own
    assert not {"tau", "epsilon_max", "period", "optimizer"} & set(state(app).query())
    app.run()
    assert not state(app).changes
    slider(app, "tau").set_value(0.2).run()
    assert state(app).query()["tau"] == ["0.2"]


def test_a_policy_without_a_cap_says_so_and_hides_its_slider() -> None:
    app = ready(lab())
    app.selectbox(key="threshold.optimizer").set_value("shampoo").run()
    assert not app.exception
    assert not any((one.key or "").startswith("threshold.epsilon_max") for one in app.select_slider)
    until(lambda: state(app).bench.study.what_if.setting.optimizer == "shampoo", 300)


def test_other_values_make_another_slider() -> None:
    """A slider that is given a longer list under the same key tells the end of the old one as if it were chosen."""
    app = ready(lab())
    before = {one.key for one in app.select_slider}
    own = state(app).bench.own
    state(app).take(own.changed({"tau": 0.505}))
    app.run()
    after = {one.key for one in app.select_slider}
    assert len(before & after) == 3
    assert slider(app, "tau").key in after - before
    assert slider(app, "tau").value == 0.505
    state(app).take(own)
    app.run()
    assert {one.key for one in app.select_slider} == before
    assert slider(app, "tau").value == own.values["tau"]


def test_a_cap_under_eps0_is_refused_beside_the_sliders() -> None:
    app = ready(lab(epsilon_max="1e-9"))
    assert any("epsilon\\_max" in error.value for error in app.error)
    slider(app, "epsilon_max").set_value(3e-5).run()
    assert not app.error


def test_a_link_sets_everything_and_what_it_has_wrong_is_named() -> None:
    app = ready(lab(run=SAMPLE, tau="0.5", epsilon="5", color="error_left", period="nonsense", brand="new"))
    shown = " ".join(warning.value for warning in app.warning)
    assert "period" in shown and "nonsense" in shown and "brand" in shown
    assert slider(app, "tau").value == 0.5
    assert state(app).values["color"] == "error_left"


def test_a_run_that_is_not_here_is_named_and_a_sample_opened() -> None:
    app = lab(run="0" * 32 + ":1")
    assert any("factor stream" in warning.value for warning in app.warning)
    assert state(app).bench.run.key == SAMPLE


def test_a_preparation_that_was_stopped_is_tried_again() -> None:
    app = lab(tau="0.5")
    state(app).bench.stop()
    app.run()
    assert any("stopped" in error.value for error in app.error)
    app.button(key="threshold.again").click().run()
    assert not ready(app).error and slider(app, "tau").value == 0.5


def test_a_slider_of_an_edited_setting_says_what_it_becomes(tmp_path: Path) -> None:
    words = ["--steps", "40", "--edit", "20:tau=0.3", "--edit", "30:lr=0.001", "--stream", "--quiet"]
    assert cli.main(["train", *words, "--set", "width=16", "--set", "period=5", "--out", str(tmp_path / "e.zip")]) == 0
    app = choose(dropped(tmp_path / "e.zip"))
    assert any("Edited while it trained: 0.3 from step 20" in one.value.replace("\\", "") for one in app.caption)
    base, own = state(app).bench.truths.base, state(app).bench.own
    assert configured(base, own, 0)["edits"] == bundle.read(tmp_path / "e.zip").manifest.config["edits"]
    slider(app, "tau").set_value(0.5).run()
    assert not any("Edited while it trained" in caption.value for caption in app.caption)


def test_a_click_takes_the_setting_of_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = []
    monkeypatch.setattr(page_module, "board", lambda **told: boards.append(told))
    app = ready(lab())
    bench = state(app).bench
    until(lambda: bench.study.points, 300)
    point = bench.study.points[3].setting
    boards[-1]["on_pick"](json.dumps(point.to_json()))
    app.run()
    until(lambda: bench.study.what_if.setting == point, 300)
    assert slider(app, "tau").value == point.values["tau"]
    boards[-1]["on_pick"]("nonsense")
    app.run()
    assert any("point" in warning.value for warning in app.warning)


def test_every_panel_draws_before_and_after_the_run_is_prepared() -> None:
    app = lab(tau="0.3")
    bench = state(app).bench
    for _ in range(2):
        moment = ReplaySource("set:x", bench).moment()
        for spec in moment.panels:
            drawn = spec.draw(Scene(moment.lanes, Look(factor=0, lane=1)))
            assert drawn.figure is not None or drawn.empty or drawn.text, spec.id
        chips, status = moment.head(moment.lanes, None)
        assert chips[0].state == "recorded" and status
        until(lambda: bench.study.references, 300)
    assert {chip.state for chip in chips} == {"recorded", "open loop"}
    assert "open loop" in status[0][1]


def test_the_error_of_updates_comes_once_the_sliders_rest() -> None:
    bench = state(ready(lab(tau="0.35", truth="false"))).bench
    until(lambda: bench.study.updates is not None and bench.study.own_updates is not None, 300)
    moment = ReplaySource("set:x", bench).moment()
    (spec,) = [spec for spec in moment.panels if spec.id == "threshold-updates"]
    drawn = spec.draw(Scene(moment.lanes, Look(factor=0, lane=1)))
    headline, sentence, *labelled = drawn.text  # a card shows the first two without their labels
    assert "before grafting" in headline[1] and "under the recorded setting" in sentence[1]
    assert [label for label, *_ in labelled] == ["cosine, mean", "largest, before grafting"]


def test_settings_are_pinned_beside_later_ones() -> None:
    app = ready(lab(tau="0.4"))
    bench = state(app).bench
    until(lambda: bench.study.what_if is not None, 300)
    app.button(key="threshold.pin").click().run()
    slider(app, "tau").set_value(0.8).run()
    assert [pin.setting.values["tau"] for pin in bench.study.pins] == [0.4]
    assert [lane.position for lane in bench.lanes()] == [0, 1, 2]
    app.button(key="threshold.unpin").click().run()
    assert not bench.study.pins


def test_a_setting_that_rests_is_really_trained_and_joins_the_front() -> None:
    app = ready(lab(tau="0.6"))
    bench = state(app).bench
    until(lambda: bench.study.what_if is not None and len(bench.truths.of(bench.study.what_if.setting)) == 3, 300)
    until(lambda: bench.study.truths[0].done, 400)  # the lowest priority on a machine that tests
    first, *others = bench.study.truths
    assert [truth.seed for truth in (first, *others)] == [0, 1, 2]
    assert first.step == first.steps == 600 and first.loss > 0 and first.error_left > 0
    assert first.predicted == bench.study.what_if.decompositions
    moment = ReplaySource("set:x", bench).moment()
    assert [lane.position for lane in moment.lanes][:3] == [0, 1, 5]
    chips, _ = moment.head(moment.lanes, None)
    assert chips[2].state == "trained" and "predicted" in chips[2].cells[0][1]
    drawn = {spec.id: spec.draw(Scene(moment.lanes, Look(factor=0, lane=1))) for spec in moment.panels}
    assert drawn["threshold-trained"].figure is not None
    assert any(trace["name"] == "trained" for trace in drawn["threshold-front"].figure["data"])
    app.toggle(key="threshold.truth").set_value(False).run()
    slider(app, "tau").set_value(0.7).run()
    until(lambda: bench.study.what_if.setting.values["tau"] == 0.7, 300)
    assert not bench.truths.of(bench.study.what_if.setting)
    assert state(app).query()["truth"] == ["false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles: with factors, without, with one check alone, with a stream of nobody knows what."""
    home = tmp_path_factory.mktemp("bundles")
    base = ["train", "--quiet", "--set", "width=16", "--set", "period=5"]
    assert cli.main([*base, "--steps", "40", "--stream", "--out", str(home / "good.zip")]) == 0
    assert cli.main([*base, "--steps", "10", "--out", str(home / "bare.zip")]) == 0
    assert cli.main([*base, "--steps", "10", "--stream", "--out", str(home / "single.zip")]) == 0
    with zipfile.ZipFile(home / "good.zip") as good, zipfile.ZipFile(home / "strange.zip", "w") as strange:
        for name in good.namelist():
            strange.writestr(name, b"of a later version" if name.startswith("stream/") else good.read(name))
    return {path.stem: path for path in home.glob("*.zip")}


def dropped(path: Path) -> AppTest:
    app = lab(truth="false")
    (uploader,) = app.file_uploader
    uploader.upload(path.name, path.read_bytes(), "application/zip").run()
    logs = state(app).session.browser.logs
    until(lambda: not logs.pending or logs.collect(), 300)
    app.run()
    assert not app.exception
    return app


def choose(app: AppTest) -> AppTest:
    key = next(run.key for run in state(app).choices() if run.key.startswith("upload:"))
    app.selectbox(key="threshold.run").set_value(key).run()
    return ready(app)


def test_a_bundle_that_is_dropped_is_replayed_and_stays_out_of_the_link(trained: dict[str, Path]) -> None:
    app = choose(dropped(trained["good"]))
    bench = state(app).bench
    until(lambda: bench.study.own is not None, 300)
    assert bench.study.own.exact and bench.study.own.differs(bench.recorded.checks) == 0
    assert "run" not in state(app).query()


def test_the_lanes_of_one_bundle_are_runs_of_their_own(trained: dict[str, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.zip"
    with zipfile.ZipFile(both, "w") as archive:
        for lane, name in enumerate(("good", "single"), 1):
            with zipfile.ZipFile(trained[name]) as one:
                for member in one.namelist():
                    archive.writestr(f"lane-{lane}/{member}", one.read(member))
    app = dropped(both)
    mine = [run for run in state(app).choices() if run.origin == "upload"]
    assert len(mine) == 2
    for run, steps in zip(mine, (40, 10), strict=True):
        assert run.trace().view().last_step == steps
        assert max(sample.step for sample in stream.read(run.path).samples) == steps


def test_a_bundle_without_factors_leads_to_training_it_again(trained: dict[str, Path]) -> None:
    app = dropped(trained["bare"])
    assert [item.label for item in app.expander] == ["1 run without factors"]
    assert not [run for run in state(app).choices() if run.origin == "upload"]


def test_a_single_check_and_a_strange_stream_say_what_they_are(trained: dict[str, Path]) -> None:
    app = choose(dropped(trained["single"]))
    assert any("always decomposes" in caption.value for caption in app.caption)
    app = choose(dropped(trained["strange"]))
    shown = " ".join(error.value.replace("\\", "") for error in app.error)
    assert "cannot be read" in shown and "later version" in shown


def test_a_factor_that_is_not_finite_is_told_and_the_others_are_replayed(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    broken = streams.with_nan(trained["good"], tmp_path / "nan.zip", step=20)
    app = choose(dropped(tmp_path / "nan.zip"))
    bench = state(app).bench
    assert not app.error and not bench.problem
    shown = " ".join(caption.value.replace("\\", "") for caption in app.caption)
    assert f"factor {broken} is not finite from step 20: its last basis stays in force" in shown
    slider(app, "tau").set_value(0.2).run()
    until(lambda: bench.study.what_if is not None and bench.study.what_if.setting.values["tau"] == 0.2, 300)
    assert bench.study.what_if.error_left > 0
    moment = ReplaySource("set:x", bench).moment()
    for spec in moment.panels:  # every panel draws, whatever factor is followed
        spec.draw(Scene(moment.lanes, Look(factor=0, lane=1)))


def artifact(folder: Path, *epochs: tuple[int, int]) -> Path:
    """A zipped run directory of FOAM's artifact with snapshots of some epochs and steps."""
    run = make_foam_artifact(folder) / "runs" / "tiny_foam"
    for path in (run / "factor_snapshots").iterdir():
        path.unlink()
    for epoch, step in epochs:
        write_snapshot(run / "factor_snapshots" / f"epoch_{epoch:03d}_rank_0000.pt", step)
    place = folder / f"artifact-{len(epochs)}.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(run.rglob("*")):
            archive.write(path, f"tiny_foam/{path.relative_to(run)}")
    return place


@pytest.mark.parametrize(("identity", "known"), [
    ("0123456789abcdef0123", True), ("0123456789abcdef0123-2", True),
    ("../../runs/0123456789abcdef0123456789abcdef/lane-0", False), ("/etc", False), ("", False),
])  # fmt: skip
def test_a_bundle_that_calls_itself_a_run_of_the_artifact_names_no_path(identity: str, known: bool) -> None:
    trace = bundle.read(SAMPLE_RUNS / f"{SAMPLE.removeprefix('sample:')}.zip")
    assert not snapshots.is_enough(trace)
    trace.manifest = trace.manifest.with_(run_id=identity, format="foam-artifact")
    assert snapshots.is_enough(trace) == known
    assert snapshots.why_not(trace) == ""


def test_snapshots_of_the_artifact_are_replayed(tmp_path: Path) -> None:
    app = choose(dropped(artifact(tmp_path, (1, 8), (2, 16), (3, 20))))
    bench = state(app).bench
    assert bench.run.origin == "snapshots" and not bench.problem and not app.error
    shown = " ".join(caption.value.replace("\\", "") for caption in app.caption)
    assert "The checks are the 3 factor snapshots, at steps 8, 16, 20" in shown
    until(lambda: bench.study.what_if is not None, 300)
    assert bench.study.what_if.open_loop and bench.study.what_if.checks == 6
    # Nobody knows what its own setting would have left: nothing is told of it, and no what-if takes its name.
    until(lambda: bench.study.updates is not None, 300)
    assert bench.study.own is None and bench.study.own_updates is None
    assert bench.lanes()[1].label.startswith("what if: FOAM f = 4")
    chips, _ = (moment := ReplaySource("set:x", bench).moment()).head(moment.lanes, None)
    assert dict(cell[:2] for cell in chips[0].cells)["Error left"] == "–"
    assert "run" not in state(app).query()
    moment = ReplaySource("set:x", bench).moment()
    for spec in moment.panels:
        spec.draw(Scene(moment.lanes, Look(factor=0, lane=1)))


@pytest.mark.parametrize(
    ("epochs", "told"),
    [(((2, 16),), "snapshots are of step 16 alone"), ((), "it holds no factor snapshots")],
)
def test_snapshots_that_are_too_few_say_so(tmp_path: Path, epochs: tuple[tuple[int, int], ...], told: str) -> None:
    app = dropped(artifact(tmp_path, *epochs))
    assert [item.label for item in app.expander] == ["1 run without factors"]
    shown = " ".join(caption.value.replace("\\", "") for caption in app.caption)
    assert told in shown and "factor_snapshot_interval: 1" in shown
    assert not [run for run in state(app).choices() if run.key.startswith("upload:")]
