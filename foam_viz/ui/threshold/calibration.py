"""Calibrate: thresholds suggested from the recorded spectra, with the reasons, in units of the gradients' scale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from foam_viz.analysis.calibrate import UNIT, scaled
from foam_viz.analysis.replay_setting import Setting
from foam_viz.optim.refresh_fields import EPSILON, EPSILON_MAX, TAU
from foam_viz.trace.numbers import number, setting
from foam_viz.ui.session.threshold import Threshold
from foam_viz.ui.text import plain

_SYMBOLS = {"epsilon": EPSILON.symbol, "epsilon_max": EPSILON_MAX.symbol, "tau": TAU.symbol, "unit": "Unit"}
_IN_TEXT = {"eps_max": EPSILON_MAX.symbol, "eps0": EPSILON.symbol, "eps": "ε", "tau": TAU.symbol, "alpha": "α"}


def calibrate(state: Threshold) -> None:
    """Draw the suggestion, its reasons, how it ages, and the paper's settings beside it."""
    bench = state.bench
    known = bench.calibration if bench else None
    if bench is None or known is None:
        _wait(state)
        return
    suggested = Setting.from_json(known["setting"])
    columns = st.columns(4)
    for column, name in zip(columns, ("tau", "epsilon", "epsilon_max"), strict=False):
        unit = "" if name == "tau" else f", {UNIT}"
        value = suggested.values[name]
        column.metric(f"{_SYMBOLS[name]}{unit}", number(value) if unit else f"{value:g}", border=True)
    columns[3].metric(f"Median of trace/n, {UNIT}", number(known["unit"]), border=True,
                      help="The mean eigenvalue of a factor. Damping told as a multiple of it travels.")  # fmt: skip
    st.button("Try the suggestion", key="threshold.suggested", type="primary", icon=":material/tune:",
              on_click=lambda: _try(state, suggested))  # fmt: skip
    st.markdown("##### Why")
    for row in known["reasons"]:
        st.markdown(f"**{_SYMBOLS[row['name']]} = {plain(row['value'])}**: {plain(_with_symbols(row['reason']), 600)}.")
    _ageing(known)
    left, right = st.columns(2, gap="large")
    with left:
        _travel(known)
    with right:
        st.markdown("##### Settings of the paper")
        st.dataframe(
            [{"experiment": row["experiment"], "f": row["period"], "τ": row["tau"], "ε₀": setting(row["epsilon"]),
              EPSILON_MAX.symbol: setting(row["epsilon_max"])} for row in known["paper"]],
            hide_index=True,
        )  # fmt: skip
        st.caption("Nam and Ahn 2026, arXiv 2606.02365; p = 2, Adam grafting, gradients of their tasks.")


@st.fragment(run_every=0.5)
def _wait(state: Threshold) -> None:
    """Say how far the preparation is, and draw the page again when it has ended."""
    bench = state.bench
    if bench is not None and bench.problem:
        return
    if bench is not None and bench.calibration is not None:
        st.rerun()
    preparation = bench.preparation if bench else None
    share, words = (preparation.share, preparation.words) if preparation else (0.0, "")
    st.progress(share, text=f"The suggestion appears here once the run is prepared: {plain(words)}")


def _try(state: Threshold, suggested: Setting) -> None:
    state.take(suggested)
    state.values["view"] = st.session_state["threshold.view"] = "what-if"


def _ageing(known: Mapping[str, Any]) -> None:
    st.markdown("##### How it ages")
    rows = [
        {"step": row["step"], "value": row[name], "what": words}
        for row in known["ageing"]
        for name, words in (("epsilon", f"{EPSILON.symbol} suggested"),
                            ("epsilon_max", f"{EPSILON_MAX.symbol} suggested"), ("mean", "mean eigenvalue"))
        if row[name] and row[name] > 0
    ]  # fmt: skip
    st.vega_lite_chart(
        {
            "data": {"values": rows},
            "mark": {"type": "line", "strokeWidth": 2},
            "height": 240,
            "encoding": {
                "x": {"field": "step", "type": "quantitative", "title": "Step",
                      "axis": {"gridOpacity": 0.3, "tickCount": 6}},
                "y": {"field": "value", "type": "quantitative", "scale": {"type": "log"}, "title": UNIT,
                      "axis": {"tickCount": 5, "format": ".0e", "gridOpacity": 0.3}},
                "color": {"field": "what", "type": "nominal", "legend": {"orient": "top", "title": None, "columns": 2}},
                "strokeDash": {"field": "what", "type": "nominal"},
            },
        },
        width="stretch",
    )  # fmt: skip
    first, last = known["ageing"][0], known["ageing"][-1]
    if first["mean"] and last["mean"]:
        ratio = first["mean"] / last["mean"]
        went, share = ("fell", "more") if ratio >= 1 else ("rose", "less")
        st.caption(
            f"The mean eigenvalue, trace/n, {went} by a factor of {number(max(ratio, 1 / ratio))} from step "
            f"{first['step']:,.0f} to {last['step']:,.0f}, as the gradients did: a damping that stays the same damped "
            f"ever {share} of the spectrum."
        )


def _with_symbols(text: str) -> str:
    """The names that a shell shows, as the page writes them."""
    return re.sub(r"\b(eps_max|eps0|eps|tau|alpha)\b", lambda name: _IN_TEXT[name[0]], text)


def _travel(known: Mapping[str, Any]) -> None:
    st.markdown("##### On another task")
    relative = known["relative"]
    if not relative:
        st.caption("The factors are zero, so there is no unit.")
        return
    told = " and ".join(f"{_SYMBOLS[name]} = {number(value)} units" for name, value in relative.items())
    st.markdown(f"Here {told}. What is the median of trace/n there?")
    unit = st.text_input("Median of trace/n of the other task (gradient²)", value=f"{known['unit']:.3g}",
                         key="threshold.unit")  # fmt: skip
    try:
        value = float(unit)
        if not 0 < value < 1e30:
            raise ValueError
    except ValueError:
        st.error(plain(f"unit = {unit[:40]}: must be a number above 0, such as {known['unit']:.3g}"))
        return
    there = scaled(relative, value)
    st.markdown("There: " + ", ".join(f"**{_SYMBOLS[name]} = {number(one)}**" for name, one in there.items()) + ".")
    st.caption(
        "This carries over the scale of the gradients, not the shape of the spectrum. Between kinds of tasks, "
        "suggestions differed more than tenfold even in these units: calibrate a short run of the other one if you can."
    )
