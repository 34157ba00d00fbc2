"""The page of the threshold lab: choose a run, move thresholds, see at once what they would have done."""

from __future__ import annotations

import json

import streamlit as st

from foam_viz.analysis.replay_setting import Setting
from foam_viz.engine import store
from foam_viz.experiment import config, links
from foam_viz.figures.threshold.front import WORKS
from foam_viz.figures.threshold.surface import COLORS
from foam_viz.optim.fields import FieldError
from foam_viz.ui import address, session
from foam_viz.ui.board.board import board
from foam_viz.ui.run_logs.own_sources import own_source
from foam_viz.ui.saving_notice import saving_notice
from foam_viz.ui.server import hub
from foam_viz.ui.session.threshold import Threshold
from foam_viz.ui.style import heading
from foam_viz.ui.text import plain
from foam_viz.ui.threshold.calibration import calibrate
from foam_viz.ui.threshold.controls import strip
from foam_viz.ui.threshold.runs import StreamedRun, bare, without_factors, without_snapshots
from foam_viz.ui.threshold.source import ReplaySource
from foam_viz.ui.threshold.sweeps import sweep
from foam_viz.ui.threshold.taking import take_away
from foam_viz.ui.threshold.workbench import Workbench

_KEY = "threshold-board"


def page() -> None:
    """Draw the page."""
    hub()
    heading("Threshold lab")
    state = session.threshold()
    choices = state.choices()
    state.meet(choices)
    with st.sidebar:
        _runs(state, choices)
        _bring(state)
        _looks(state)
        _truth(state)
        _pins(state)
        take_away(state)
    saving_notice(hub().opened(state.bench.run.view_id) if state.bench else None)
    for error in state.rejected:
        st.warning(plain(str(error)))
    if state.bench is None:
        st.info("No run with a factor stream is at hand. Train one in the live lab: small runs keep their factors.")
        return
    if state.bench.problem:
        st.error(plain(state.bench.problem, 600), icon=":material/error:")
        if state.bench.passes:
            st.button("Try again", key="threshold.again", icon=":material/refresh:",
                      on_click=state.use, args=(state.bench.run,))  # fmt: skip
    view = _view(state)
    if view == "calibrate":
        calibrate(state)
    elif view == "sweep":
        sweep(state)
    else:
        strip(state)
        _board(state, state.bench)
    state.write_address()


def _view(state: Threshold) -> str:
    st.session_state.setdefault("threshold.view", state.values["view"])
    with st.container(key="threshold-views"):
        chosen = st.segmented_control("View", list(address.VIEWS), key="threshold.view", required=True,
                                      format_func=address.VIEWS.__getitem__, label_visibility="collapsed")  # fmt: skip
    state.values["view"] = chosen or "what-if"
    return state.values["view"]


def _runs(state: Threshold, choices: list[StreamedRun]) -> None:
    known = {run.key: run for run in choices}
    if state.bench is not None:
        known.setdefault(state.bench.run.key, state.bench.run)
    current = state.bench.run.key if state.bench else None
    if current and st.session_state.get("threshold.run") not in known:
        st.session_state["threshold.run"] = current

    def choose() -> None:
        state.rejected = []
        state.use(known[st.session_state["threshold.run"]])
        state.reset()

    st.selectbox(
        "Run", list(known), key="threshold.run", on_change=choose,
        format_func=lambda key: f"{known[key].label} ({known[key].origin})",
        help="Runs whose factors were recorded: your own (small runs of the live lab keep their factors), bundles "
        "that you opened in Run logs, and samples.",
    )  # fmt: skip
    bench = state.bench
    if bench is not None and not bench.problem and bench.own is None:
        st.button("Stop preparing", key="threshold.stop", on_click=bench.stop)
    own = bench.own if bench is not None else None
    if bench is not None and own is not None and state.changes:
        words = "Back to the recorded setting" if bench.is_known else "Back to the first setting"
        st.button(words, key="threshold.back", on_click=lambda: state.take(own),
                  icon=":material/undo:", width="stretch")  # fmt: skip
    for note in filter(None, (bench.run.remark, *bench.preparation.notes)) if bench else ():
        st.caption(plain(note))


def _without(count: int) -> str:
    return f"{count} {'run' if count == 1 else 'runs'} without factors"


def _bring(state: Threshold) -> None:
    """Take in a bundle; runs without factors lead to the live lab, where they are trained again with them."""
    count = st.session_state.setdefault("threshold.uploads", 0)
    file = st.file_uploader("Drop a run bundle (.zip)", type="zip", key=f"threshold.upload.{count}",
                            help="One that foam_viz train --stream or a Writer with a stream has made; or a zipped run "
                            "directory of FOAM's artifact with its factor_snapshots.")  # fmt: skip
    logs = state.session.browser.logs
    if file is not None:
        try:
            logs.upload(file.name, [(file.name, file.getbuffer())], file.size)
        except OSError as error:
            st.error(plain(f"The upload was not opened: {store.unwritable(error)}.", 600))
            return
        st.session_state["threshold.uploads"] = count + 1
        st.rerun()
    if logs.pending:
        _reading(state)
    lacking = [(run.name, run.saved.experiment) for run in without_factors(state.session.browser.id)]
    lacking += [(trace.manifest.name, config.from_manifest(trace.manifest.config)[0]) for trace in bare(logs)]
    sparse = without_snapshots(logs)
    if not lacking and not sparse:
        return
    with st.expander(_without(len(lacking) + len(sparse))):
        for name, words in sparse[:10]:
            st.caption(plain(f"{name}: {words}", 600))
        if not lacking:
            return
        st.caption("These runs kept no factor stream, so they cannot be replayed. Train one again in the live lab: "
                   "small runs keep their factors.")  # fmt: skip
        for name, experiment in lacking[:10]:
            query = [(key, text) for key, texts in links.to_query(experiment).items()
                     for text in (texts if isinstance(texts, list) else [texts])]  # fmt: skip
            st.page_link("pages/live_lab.py", label=plain(name), icon=":material/replay:", query_params=query)


@st.fragment(run_every=0.5)
def _reading(state: Threshold) -> None:
    """Say that an upload is read, and draw the page again when it was."""
    logs = state.session.browser.logs
    if logs.collect() or not logs.pending:
        st.rerun()
    st.caption("Reading the bundle…")


def _looks(state: Threshold) -> None:
    for name, words, label in (("color", COLORS, "Map shows"), ("work", WORKS, "Front against")):
        key = f"threshold.{name}"
        st.session_state.setdefault(key, state.values[name])
        state.values[name] = st.selectbox(label, list(words), key=key, format_func=words.__getitem__)
    if state.bench is not None:
        state.bench.color(state.values["color"], state.values["work"])


def _truth(state: Threshold) -> None:
    bench = state.bench
    if bench is None or bench.problem:
        return
    field = address.field("threshold", "truth")
    st.session_state.setdefault("threshold.truth", state.values["truth"])
    on = st.toggle(field.label, key="threshold.truth", help=field.help, disabled=bool(bench.truths.why_not))
    state.values["truth"] = bench.truths.enabled = on
    if words := bench.truths.why_not:
        st.caption(plain(f"Not trained: {words}."))


def _pins(state: Threshold) -> None:
    bench = state.bench
    if bench is None or bench.own is None:
        return
    with st.container(horizontal=True):
        st.button("Pin this setting", key="threshold.pin", on_click=bench.pin, icon=":material/keep:",
                  help="Keep this setting on every panel, up to three.")  # fmt: skip
        if bench.study.pins:
            st.button("Unpin all", key="threshold.unpin", on_click=bench.unpin)


def _board(state: Threshold, bench: Workbench) -> None:
    source = own_source(_KEY, id(bench), lambda identity: ReplaySource(identity, bench))

    def follow(factor: int | None, lane: int) -> None:
        state.values["factor"] = factor if factor is not None else state.values["factor"]

    def pick(told: str) -> None:
        try:
            state.take(Setting.from_json(json.loads(told)))
        except (ValueError, KeyError, TypeError, FieldError):
            state.rejected = [FieldError("point", told[:40], "a point of the map or the front; click it again")]

    with bench.lock:
        phase = bench.phase
    board(
        key=_KEY,
        source=source,
        look={"factor": state.values["factor"], "lane": 1},
        outline=phase,
        time=False,
        on_follow=follow,
        on_pick=pick,
    )
