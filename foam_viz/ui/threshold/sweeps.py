"""The view of sweeps: start, watch, stop and resume one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from foam_viz.engine import store
from foam_viz.engine.sweep import spec
from foam_viz.optim.fields import FieldError
from foam_viz.ui.server import hub
from foam_viz.ui.session.threshold import Threshold
from foam_viz.ui.text import plain
from foam_viz.ui.threshold import sweeping
from foam_viz.ui.threshold.sweep_results import draw, predicting
from foam_viz.ui.threshold.sweeping import PageSweep, SweepRefused

_PLAIN = """tasks: digits-autoencoder
optimizers: [foam]
seeds: [0, 1]
steps: 600
settings:
  tau: [0.3, 0.75]
"""
_TEXT = "threshold.sweep.text"
_PROBLEM = "threshold.sweep.problem"
_LOOK_SECONDS = 1.0


def sweep(state: Threshold) -> None:
    """Draw the form, and below it the sweep that is looked at."""
    owner = state.session.browser.id
    st.markdown(
        "Train every combination of settings, seeds and tasks, each as an ordinary run. List several values to try "
        "each of them."
    )
    # Streamlit forgets what a widget holds while another view is drawn.
    if _TEXT not in st.session_state or state.sweep_text is None:
        st.session_state[_TEXT] = _begins_with(state) if state.sweep_text is None else state.sweep_text

    def typed() -> None:
        state.sweep_text = st.session_state[_TEXT]

    st.text_area("Sweep", key=_TEXT, height=260, label_visibility="collapsed", on_change=typed)
    if state.bench is not None and state.bench.own is None and not state.bench.problem:
        _wait(state)
    settings = hub().settings
    where = f"on the Dask cluster at {settings.scheduler}" if settings.scheduler else "on this machine"
    st.button(
        f"Train them {where}",
        key="threshold.sweep.start",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_begin,
        args=(owner,),
    )
    _problem()
    mine = {one.name: one for one in sweeping.known(settings, owner)}
    if not mine:
        return
    if st.session_state.get("threshold.sweep.shown") not in mine:
        st.session_state["threshold.sweep.shown"] = next(iter(mine))
    chosen = st.selectbox("Sweep of", list(mine), key="threshold.sweep.shown", format_func=lambda name: f"{name} UTC")
    _watched(state, mine[chosen])


@st.fragment(run_every=_LOOK_SECONDS)
def _wait(state: Threshold) -> None:
    """Draw the page again once the chosen run is prepared: the sweep that is suggested, and predictions, follow it."""
    bench = state.bench
    if bench is None or bench.own is not None or bench.problem:
        st.rerun()
    st.caption(plain(f"The chosen run is being prepared, for predictions: {bench.preparation.words}."))


def _begin(owner: str) -> None:
    """Train what the form says, and show it."""
    if made := _tried(lambda: sweeping.begin(hub().settings, owner, st.session_state[_TEXT])):
        st.session_state["threshold.sweep.shown"] = made.name


def _resume(one: PageSweep) -> None:
    """Train what is missing of a sweep."""
    _tried(one.start)


def _tried(start: Callable[[], PageSweep | None]) -> PageSweep | None:
    """Start something, and return what it returns. Where it cannot be, the page says why."""
    try:
        hub().data.hold()
        return start()
    except (FieldError, SweepRefused) as error:
        st.session_state[_PROBLEM] = str(error)
    except OSError as error:
        st.session_state[_PROBLEM] = f"Nothing was started: {store.unwritable(error)}."
    return None


def _problem() -> None:
    """Say once why what was pressed last could not be started."""
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(problem, 600))


def _begins_with(state: Threshold) -> str:
    """A sweep around the recorded run, ready to be started: all else as it was, so that its runs can be predicted."""
    base = state.bench.truths.base if state.bench else None
    own = state.bench.own if state.bench else None
    if base is None or own is None:
        return _PLAIN
    tau = {"tau": [0.3, 0.5, 0.75]}
    swept = tau if "tau" in own.values else {"period": [own.values["period"] * i for i in (1, 2)]}
    told = {
        "tasks": base["task"],
        "optimizers": [own.optimizer],
        "seeds": [base["run_settings"]["seed"], base["run_settings"]["seed"] + 1],
        "steps": base["run_settings"]["steps"],
    }
    (plain, *_) = spec.build({**told, "seeds": told["seeds"][:1]}).runs
    fixed = {
        name: base[part][name]
        for part in ("optimizer_settings", "run_settings", "task_settings")
        for name, value in plain.config[part].items()
        if base[part][name] != value and name not in swept
    }
    fixed |= {name: own.values[name] for name in ("epsilon", "epsilon_max") if name in own.values}
    lines = [f"{key}: {json.dumps(value)}" for key, value in told.items()]
    lines += ["settings:", *(f"  {name}: {_yaml(value)}" for name, value in {**swept, **fixed}.items())]
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _watched(state: Threshold, one: PageSweep) -> None:
    """Draw a sweep; while it trains, or predictions are waited for, this part looks again by itself."""
    every = _LOOK_SECONDS if one.trains or predicting() else None

    @st.fragment(run_every=every)
    def watch() -> None:
        _progress(one)
        rows = one.rows()
        if rows:
            draw(state, one, rows)
        if (every is not None) != (one.trains or predicting()):
            st.rerun()

    watch()


def _progress(one: PageSweep) -> None:
    counted = one.counts()
    total = sum(counted.values())
    trained = counted["finished"] + counted["diverged"]
    over = trained + counted["failed"]
    words = ", ".join(f"{count:,} {status}" for status, count in counted.items()) or "starting"
    st.progress(over / total if total else 0.0, text=words)
    if problem := one.problem():
        st.error(plain(problem, 600))
    if counted["failed"] and not one.trains:
        runs = "1 run" if counted["failed"] == 1 else f"{counted['failed']:,} runs"
        st.warning(f"{runs} failed; the message column says why. Resume trains them again and keeps the finished runs.")
    with st.container(horizontal=True):
        if one.trains:
            st.button("Stop", key="threshold.sweep.stop", icon=":material/stop:", on_click=one.stop)
        elif trained < total or not total:
            st.button("Resume", key="threshold.sweep.resume", icon=":material/play_arrow:",
                      help="Train the missing runs and keep the finished ones.",
                      on_click=_resume, args=(one,))  # fmt: skip
        if not one.trains:
            st.button("Delete this sweep", key="threshold.sweep.delete", icon=":material/delete:", on_click=one.delete)
    _problem()
