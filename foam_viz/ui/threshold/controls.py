"""The strip over the panels of the threshold lab: policy, period, tau, eps0 and eps_max."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import streamlit as st

from foam_viz.analysis.replay_setting import Setting, fields_of
from foam_viz.optim.fields import Field, FieldError
from foam_viz.ui import address
from foam_viz.ui.session.threshold import WIDGETS, Threshold, widget_of
from foam_viz.ui.text import plain
from foam_viz.ui.threshold import sliders
from foam_viz.ui.threshold.workbench import Workbench

_MOST_EDITS = 3


@st.fragment
def strip(state: Threshold) -> None:
    """Draw the controls; a move of one is replayed at once, and only this strip is drawn again."""
    bench = state.bench
    own = bench.own if bench else None
    with st.container(key="threshold-strip"):
        if bench is None or own is None:
            st.caption("The sliders appear here once the run is prepared.")
            return
        _take_in(state, own)
        try:
            chosen = state.setting(own)
        except FieldError as error:
            chosen = None
            problem = str(error)
        else:
            bench.choose(chosen)
            problem = bench.refused
        _controls(state, bench, own, chosen)
        if problem:
            st.error(plain(problem), icon=":material/error:")
    state.write_address()


def _take_in(state: Threshold, own: Setting) -> None:
    """What the widgets say, where they were drawn; a value equal to the recorded one is none."""
    for name in ("optimizer", "period", "tau", "epsilon", "epsilon_max"):
        key, shown = widget_of(name), f"{WIDGETS}{name}.shown"
        if key in st.session_state and st.session_state.get(shown) != st.session_state[key]:
            value = st.session_state[key]
            recorded = own.optimizer if name == "optimizer" else own.values.get(name)
            state.values[name] = None if value == recorded else value
            st.session_state[shown] = value


def _controls(state: Threshold, bench: Workbench, own: Setting, chosen: Setting | None) -> None:
    grid, known = bench.preparation.grid, bench.calibration or {}
    assert grid is not None  # it came with the run's own setting
    quantiles, smallest = known.get("quantiles", ()), known.get("smallest", 0.0)
    name = state.values["optimizer"] or own.optimizer
    columns = st.columns([1.5, 1.3, 1.6, 2.4, 2.4], gap="medium")
    with columns[0]:
        labels = sliders.policies()
        _show("optimizer", name)
        st.selectbox("Policy", list(labels), key=WIDGETS + "optimizer", format_func=labels.__getitem__,
                     help="When to decompose. Under FOAM, ε rises with staleness up to εₘₐₓ.")  # fmt: skip
    offered = {field.name: field for field in fields_of(chosen.spec if chosen else own.spec)}
    values = {field: _value(state, own, chosen, field) for field in ("period", "tau", "epsilon", "epsilon_max")}
    with columns[1]:
        _slider(offered["period"], sliders.period_values(grid, values["period"]), values["period"])
        _edited(chosen, offered["period"])
    with columns[2]:
        if "tau" in offered:
            taus = sorted({round(0.01 * i, 2) for i in range(1, 100)} | {values["tau"]})
            _slider(offered["tau"], taus, values["tau"])
            _edited(chosen, offered["tau"])
        else:
            st.caption("This policy has no τ: it decides by the period alone.")
    for column, field in ((columns[3], "epsilon"), (columns[4], "epsilon_max")):
        with column:
            if field not in offered:
                st.caption("This policy has no εₘₐₓ: ε stays at ε₀.")
                continue
            steps = sliders.damping_values(own, quantiles, values[field])
            _slider(offered[field], steps, values[field])
            if quantiles:
                sliders.draw_marks(sliders.marks(steps, quantiles, smallest))
            _edited(chosen, offered[field])


def _edited(chosen: Setting | None, field: Field) -> None:
    """Say what a setting becomes later, where the run was edited while it trained: the slider shows how it begins."""
    mine = [(step, value) for step, name, value in (chosen.edits if chosen else ()) if name == field.name]
    if not mine:
        return
    told = ", ".join(f"{field.format(value)} from step {step:,}" for step, value in mine[:_MOST_EDITS])
    more = f" and {len(mine) - _MOST_EDITS} more" if len(mine) > _MOST_EDITS else ""
    st.caption(plain(f"Edited while it trained: {told}{more}. A move replaces it throughout."))


def _value(state: Threshold, own: Setting, chosen: Setting | None, name: str) -> Any:
    """The value that a slider shows: what was chosen, be it refused or not."""
    if (value := state.values[name]) is not None:
        return value
    source = chosen or own
    value = source.values.get(name, own.values.get(name))
    if value is not None:
        return value
    return (
        10 * own.values["epsilon"]
        if name == "epsilon_max"
        else 0.75
        if name == "tau"
        else address.field("threshold", name).default
    )


def _slider(field: Field, values: list[Any], chosen: Any) -> None:
    # Other values make another slider: one that is given more of them would first cut its position to the number that
    # it had, and tell that as if a hand had moved it.
    key = f"{WIDGETS}{field.name}.{crc32(repr(values).encode()):08x}"
    st.session_state[f"{WIDGETS}{field.name}.widget"] = key
    _show(field.name, chosen)
    if len(values) < 2:
        st.caption(f"{field.label} {field.symbol} = {values[0]}: the stream can answer for no other.")
        return
    sliders.offer(field, values, chosen, key)


def _show(name: str, value: Any) -> None:
    # Only where it differs: a value that is set goes back to the browser, whose hand may be farther by then.
    if st.session_state.get(key := widget_of(name)) != value:
        st.session_state[key] = value
    st.session_state[f"{WIDGETS}{name}.shown"] = value
