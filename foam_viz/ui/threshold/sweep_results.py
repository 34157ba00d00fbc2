"""The results of a sweep on its page: a table, what was predicted, the front, and the best setting to take away."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import streamlit as st

from foam_viz.analysis.replay_setting import NoReplay, Setting
from foam_viz.engine import store
from foam_viz.engine.replay.client import EngineLost, Superseded
from foam_viz.engine.sweep import results
from foam_viz.engine.sweep.runner import RECORD
from foam_viz.optim.fields import FieldError
from foam_viz.trace.numbers import number, percent, setting
from foam_viz.ui.session.threshold import SETTINGS, Threshold
from foam_viz.ui.text import plain
from foam_viz.ui.threshold import taking
from foam_viz.ui.threshold.engine import replays
from foam_viz.ui.threshold.sweeping import PageSweep
from foam_viz.ui.threshold.truths import configured
from foam_viz.ui.threshold.workbench import Workbench

_COMPARED = ("task_settings", "run_settings", "optimizer_settings", "edits")
_PREDICTED = (
    "Decompositions predicted, in open loop, by a replay of the run chosen at the left. Only for runs that "
    "differ from it in thresholds and seed alone."
)
_OFF = "By how much more, or fewer, decompositions were predicted than the trained run made."
_NOT_TOLD = ("status", "task", "message")
_ASKED = "threshold.predicting"

_Key = tuple[str, tuple[Any, ...]]
"""A run and a setting."""


def draw(state: Threshold, one: PageSweep, rows: list[dict[str, Any]]) -> None:
    """Draw the results of a sweep as far as they are."""
    record = store.read_json(one.folder / "runs" / RECORD) or {}
    configs = {run["name"]: run["config"] for run in record.get("runs", ())}
    predicted = _predictions(state, rows, configs)
    shown = []
    names = [*SETTINGS[1:5], *(name for name in results.varied(rows) if name not in SETTINGS[1:5])]
    for row, foretold in zip(rows, predicted, strict=True):
        told = {"status": row["status"], "task": row["task"], "optimizer": row["optimizer"], "seed": row["seed"]}
        told |= {name: row.get(name) for name in names}
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
    st.caption(_foretold(shown))
    tasks = list(dict.fromkeys(row["task"] for row in shown))
    for task in tasks:
        _front([row for row in shown if row["task"] == task], task if len(tasks) > 1 else "")
    with st.container(horizontal=True):
        st.download_button("Results as CSV", data=lambda: results.to_csv(rows), file_name="foam-viz-sweep.csv",
                           mime="text/csv", on_click="ignore", key="threshold.sweep.csv")  # fmt: skip
    for found in results.best(rows):
        where = f" on {plain(found.task)}" if len(tasks) > 1 else ""
        words = f"**Lowest loss{where}: {found.loss:.4g}** ({found.words}), with {plain(_named(found, names))}."
        st.markdown(f"{words} Export this setting:")
        if (name := found.runs[0]["name"]) in configs:
            taking.forms(configs[name])


def _foretold(shown: Sequence[Mapping[str, Any]]) -> str:
    """How near the predictions came, whichever way that falls."""
    if all(row.get("predicted") is None for row in shown):
        return "No predictions: they need a chosen run that these runs differ from in thresholds and seed alone."
    off = [abs(row["prediction off"]) for row in shown if row.get("prediction off") is not None]
    if not off:
        return "Predictions are held against the runs as those finish."
    return (
        f"Prediction against truth, in decompositions of {len(off):,} trained {'run' if len(off) == 1 else 'runs'}: "
        f"median error {percent(statistics.median(off))}, largest {percent(max(off))}. Predictions are open loop."
    )


def _named(found: results.Best, names: Sequence[str]) -> str:
    row = found.runs[0]
    values = ", ".join(f"{name} = {_value(row[name])}" for name in names if row.get(name) is not None)
    counts = [row["decompositions"] for row in found.runs if row.get("decompositions") is not None]
    paid = f", {number(statistics.fmean(counts))} decompositions a run" if counts else ""
    return f"{row['optimizer']} ({values}){paid}"


def _value(value: Any) -> str:
    return setting(value) if isinstance(value, float) else str(value)


def _front(shown: Sequence[Mapping[str, Any]], task: str) -> None:
    """Loss against decompositions of the finished runs of one task, and the front through the best of them."""
    points = [row for row in shown if row["status"] == "finished" and row["loss"] is not None and row["decompositions"]]
    if len(points) < 2:
        return
    if task:
        st.markdown(f"##### {plain(task)}")
    best: list[Mapping[str, Any]] = []
    for row in sorted(points, key=lambda row: (row["decompositions"], row["loss"])):
        if not best or row["loss"] < best[-1]["loss"]:
            best.append(row)
    x = {"field": "decompositions", "type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 24},
         "title": "Decompositions of all factors",
         "axis": {"gridOpacity": 0.3, "tickCount": 6, "tickMinStep": 1}}  # fmt: skip
    y = {"field": "loss", "type": "quantitative", "scale": {"zero": False},
         "title": "Training loss, mean of the last 20 steps", "axis": {"gridOpacity": 0.3}}  # fmt: skip
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5, "opacity": 0.6}
    st.vega_lite_chart(
        {
            "height": 280,
            "layer": [
                {"data": {"values": [dict(row) for row in best]}, "mark": line, "encoding": {"x": x, "y": y}},
                {
                    "data": {"values": [dict(row) for row in points]},
                    "mark": {"type": "point", "filled": True, "size": 70},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "color": {"field": "optimizer", "type": "nominal", "legend": {"orient": "top", "title": None}},
                        "shape": {"field": "optimizer", "type": "nominal"},
                        "tooltip": [{"field": name} for name in points[0] if name not in _NOT_TOLD],
                    },
                },
            ],
        },
        width="stretch",
    )  # fmt: skip
    st.caption("Down and left is better. The line joins runs that no other beats in both.")


def _predictions(
    state: Threshold, rows: Sequence[Mapping[str, Any]], configs: Mapping[str, Mapping[str, Any]]
) -> list[int | None]:
    """Decompositions predicted by a replay of the chosen run, for runs that differ in thresholds and seed alone.

    What is not known yet is asked for, and None until a later look: a page that waited could not be left.
    """
    bench = state.bench
    found: list[int | None] = [None] * len(rows)
    wanted = predicted_settings(bench, rows, configs) if bench is not None else {}
    if bench is None or not wanted:
        return found
    known = _take_in(st.session_state.setdefault("threshold.predicted", {}))
    missing = [one for one in dict.fromkeys(wanted.values()) if (bench.run.key, one.key) not in known]
    if missing and not predicting():
        asked = replays().summaries(bench.run.path, missing, error_every=0)
        st.session_state[_ASKED] = [(bench.run.key, one.key) for one in missing], asked
    for place, one in wanted.items():
        found[place] = known.get((bench.run.key, one.key))
    return found


def predicting() -> bool:
    """Whether predictions were asked for that a later look will find."""
    _, asked = st.session_state.get(_ASKED) or ((), None)
    return asked is not None and not asked.done()


def _take_in(known: dict[_Key, int | None]) -> dict[_Key, int | None]:
    """Add what has been answered since, None where nothing can be; where the engine was lost it is asked again."""
    keys, asked = st.session_state.get(_ASKED) or ((), None)
    if asked is not None and asked.done():
        st.session_state[_ASKED] = None
        try:
            known |= zip(keys, (point.decompositions for point in asked.result()), strict=True)
        except (NoReplay, FieldError):
            known |= dict.fromkeys(keys)
        except (EngineLost, Superseded, CancelledError):
            pass
    return known


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
        if all(alike.get(part) == config.get(part) for part in _COMPARED):  # else its factors are others
            found[place] = made
    return found
