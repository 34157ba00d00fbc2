"""The view of sweeps: start, watch, stop and resume one, and read its results beside what was predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from typing import Any

import streamlit as st

from foam_viz.analysis.replay import NoReplay, Setting
from foam_viz.engine import store
from foam_viz.engine.replay.client import EngineLost, Superseded
from foam_viz.engine.sweep import results
from foam_viz.engine.sweep.runner import RECORD
from foam_viz.optim.fields import FieldError
from foam_viz.ui.server import hub
from foam_viz.ui.session.threshold import SETTINGS, Threshold
from foam_viz.ui.text import plain
from foam_viz.ui.threshold import sweeping, taking
from foam_viz.ui.threshold.engine import replays
from foam_viz.ui.threshold.sweeping import PageSweep, SweepRefused
from foam_viz.ui.threshold.truths import configured
from foam_viz.ui.threshold.workbench import Workbench

_PLAIN = """tasks: digits-autoencoder
optimizers: [foam]
seeds: [0, 1]
steps: 600
settings:
  tau: [0.3, 0.75]
"""
_COMPARED = ("task_settings", "run_settings", "optimizer_settings")
_PREDICTED = (
    "Decompositions predicted, in open loop, by a replay of the run chosen at the left. Only for runs that "
    "differ from it in thresholds and seed alone."
)
_OFF = "By how much more, or fewer, decompositions were predicted than the trained run made."
_HOVER = ("optimizer", "tau", "epsilon_max", "period", "seed", "loss", "decompositions", "predicted")
_PROBLEM = "threshold.sweep.problem"
_LOOK_SECONDS = 1.0
_PREDICT_SECONDS = 20.0


def sweep(state: Threshold) -> None:
    """Draw the form, and below it the sweep that is looked at."""
    owner = state.session.browser.id
    st.markdown(
        "Train every combination of settings, seeds and tasks, each as an ordinary run. List several values to try "
        "each of them."
    )
    st.session_state.setdefault("threshold.sweep.text", _begins_with(state))
    st.text_area("Sweep", key="threshold.sweep.text", height=260, label_visibility="collapsed")
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


def _begin(owner: str) -> None:
    """Train what the form says, and show it."""
    if made := _tried(lambda: sweeping.begin(hub().settings, owner, st.session_state["threshold.sweep.text"])):
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
    """A sweep around the recorded run, ready to be started."""
    base = state.bench.truths.base if state.bench else None
    own = state.bench.own if state.bench else None
    if base is None or own is None:
        return _PLAIN
    swept = {"tau": [0.3, 0.5, 0.75]} if "tau" in own.values else {"period": [own.values["period"] * i for i in (1, 2)]}
    fixed = {name: own.values[name] for name in ("epsilon", "epsilon_max") if name in own.values}
    lines = [
        f"tasks: {base['task']}",
        f"optimizers: [{own.optimizer}]",
        "seeds: [0, 1]",
        f"steps: {base['run_settings']['steps']}",
        "settings:",
        *(f"  {name}: {value}" for name, value in swept.items()),
        *(f"  {name}: {value!r}" for name, value in fixed.items()),
        *(f"  {name}: {value!r}" for name, value in base["task_settings"].items() if isinstance(value, int)),
    ]
    return "\n".join(lines) + "\n"


def _watched(state: Threshold, one: PageSweep) -> None:
    """Draw a sweep; while it trains, this part looks again by itself."""
    every = _LOOK_SECONDS if one.trains else None

    @st.fragment(run_every=every)
    def watch() -> None:
        _progress(one)
        rows = one.rows()
        if rows:
            _results(state, one, rows)
        if (every is not None) != one.trains:
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


def _results(state: Threshold, one: PageSweep, rows: list[dict[str, Any]]) -> None:
    record = store.read_json(one.folder / "runs" / RECORD) or {}
    configs = {run["name"]: run["config"] for run in record.get("runs", ())}
    predicted = _predictions(state, rows, configs)
    shown = []
    for row, foretold in zip(rows, predicted, strict=True):
        told = {"status": row["status"], "task": row["task"], "optimizer": row["optimizer"], "seed": row["seed"]}
        told |= {name: row.get(name) for name in SETTINGS[1:5]}
        count = row.get("decompositions")
        told |= {"loss": row.get("loss"), "decompositions": count}
        if any(one is not None for one in predicted):
            off = foretold / count - 1 if foretold is not None and count else None
            told |= {"predicted": foretold, "prediction off": off}
        told |= {"optimizer s": row.get("optimizer_seconds"), "message": row["message"]}
        shown.append(told)
    st.dataframe(
        shown, hide_index=True, width="stretch",
        column_config={
            "predicted": st.column_config.NumberColumn(help=_PREDICTED),
            "loss": st.column_config.NumberColumn(format="%.4g", help="Training loss, mean of the last 20 steps."),
            "optimizer s": st.column_config.NumberColumn(format="%.3g", help="Seconds charged to training alone."),
            "tau": st.column_config.NumberColumn(format="%.3g"),
            "prediction off": st.column_config.NumberColumn(format="percent", help=_OFF),
            **{name: st.column_config.NumberColumn(format="scientific") for name in ("epsilon", "epsilon_max")},
        },
    )  # fmt: skip
    if all(one is None for one in predicted):
        st.caption("No predictions: they need a chosen run that these runs differ from in thresholds and seed alone.")
    _front(shown)
    with st.container(horizontal=True):
        st.download_button("Results as CSV", data=lambda: results.to_csv(rows), file_name="foam-viz-sweep.csv",
                           mime="text/csv", on_click="ignore", key="threshold.sweep.csv")  # fmt: skip
    found = results.best(rows)
    if found is not None:
        st.markdown(f"**Lowest loss: {found['loss']:.4g}**, with {plain(_named(found))}. Export this setting:")
        if found["name"] in configs:
            taking.forms(configs[found["name"]])


def _named(row: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name} = {row[name]:g}" for name in SETTINGS[1:5] if isinstance(row.get(name), int | float))
    return f"{row['optimizer']} ({values}), seed {row['seed']}, {row.get('decompositions', 0):,} decompositions"


def _front(shown: Sequence[Mapping[str, Any]]) -> None:
    points = [row for row in shown if row["status"] == "finished" and row["loss"] and row["decompositions"]]
    if len(points) < 2:
        return
    st.vega_lite_chart(
        {
            "data": {"values": [dict(row) for row in points]},
            "mark": {"type": "point", "filled": True, "size": 70},
            "height": 280,
            "encoding": {
                "x": {"field": "decompositions", "type": "quantitative",
                      "scale": {"type": "log", "nice": False, "padding": 24},
                      "title": "Decompositions of all factors", "axis": {"gridOpacity": 0.3, "tickCount": 6}},
                "y": {"field": "loss", "type": "quantitative", "scale": {"zero": False},
                      "title": "Training loss, mean of the last 20 steps", "axis": {"gridOpacity": 0.3}},
                "color": {"field": "optimizer", "type": "nominal", "legend": {"orient": "top", "title": None}},
                "shape": {"field": "optimizer", "type": "nominal"},
                "tooltip": [{"field": name} for name in _HOVER if name in points[0]],
            },
        },
        width="stretch",
    )  # fmt: skip


def _predictions(
    state: Threshold, rows: Sequence[Mapping[str, Any]], configs: Mapping[str, Mapping[str, Any]]
) -> list[int | None]:
    """Decompositions predicted by a replay of the chosen run, for runs that differ in thresholds and seed alone."""
    bench = state.bench
    found: list[int | None] = [None] * len(rows)
    wanted = predicted_settings(bench, rows, configs) if bench is not None else {}
    if bench is None or not wanted:
        return found
    known = st.session_state.setdefault("threshold.predicted", {})
    missing = [one for one in dict.fromkeys(wanted.values()) if (bench.run.key, one.key) not in known]
    if missing:
        try:
            answered = replays().summaries(bench.run.path, missing, error_every=0).result(_PREDICT_SECONDS)
        except (NoReplay, EngineLost, Superseded, CancelledError, Late):
            return found
        known |= {(bench.run.key, point.setting.key): point.decompositions for point in answered}
    for place, one in wanted.items():
        found[place] = known.get((bench.run.key, one.key))
    return found


def predicted_settings(
    bench: Workbench, rows: Sequence[Mapping[str, Any]], configs: Mapping[str, Mapping[str, Any]]
) -> dict[int, Setting]:
    """The setting to replay for each run, by place, that differs from the chosen run in thresholds and seed alone."""
    own, base, grid = bench.own, bench.truths.base, bench.preparation.grid
    found: dict[int, Setting] = {}
    if own is None or base is None or grid is None:
        return found
    for place, row in enumerate(rows):
        config = configs.get(row["name"])
        if config is None or row["task"] != base["task"]:
            continue
        values = {name: row[name] for name in SETTINGS[1:] if row.get(name) is not None}
        try:
            made = own.changed({"optimizer": row["optimizer"], **values})
            grid.require(made)
            alike = configured(base, made, row["seed"])
        except FieldError:
            continue
        if all(alike[part] == config[part] for part in _COMPARED):  # else its factors are others
            found[place] = made
    return found
