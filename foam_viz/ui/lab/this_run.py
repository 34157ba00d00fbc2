"""The settings of the run on the page: each takes another value from the next step on, when its control is let go."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment.config import RUN_FIELDS, Experiment
from foam_viz.experiment.edits import Edit, concerned
from foam_viz.optim.fields import Field
from foam_viz.trace.numbers import number
from foam_viz.ui.lab import forks
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import field_help, field_label, popover

_FIRST = ("lr", "period", "tau", "epsilon", "epsilon_max")
_DECADES, _IN_A_DECADE = 4, 10
_LISTED = 6


def this_run(state: Lab, run: LabRun) -> None:
    """Draw the settings that the run has now; those that stay as they are say why."""
    mine, experiment, step = state.may_control(run), run.experiment, run.step + 1
    if run.ended:
        st.caption(f"The run has ended at step {run.step:,}: its settings stay as they are.")
    elif not mine:
        st.caption("Somebody else steers this run. Take a copy to change its settings.")
    else:
        st.caption("A change acts in the next step and is marked on every time axis.")
    forks.catching_up(state, run, mine=mine)
    _undo(state, experiment, mine and not run.ended)
    names, states = experiment.labels(), run.header.get("lanes", ())
    for place, lane in enumerate(experiment.lanes):
        over = place < len(states) and states[place]["status"] in ("diverged", "finished")
        now = experiment.settings_at(place, step)
        with st.expander(f"{place + 1} · {plain(names[place])}", expanded=True):
            editable = {field.name: field for field in lane.spec.all_fields if field.editable}
            first = [editable.pop(name) for name in _FIRST if name in editable]
            for field in first:
                _setting(state, run, place, field, now[field.name], enabled=mine and not over)
            with popover("More settings", f"more.{run.view_id}.{place}", width="stretch") as opened:
                if opened:
                    for field in (*editable.values(), *(field for field in RUN_FIELDS if field.editable)):
                        _setting(state, run, place, field, now[field.name], enabled=mine and not over)
                    _fixed([field for field in lane.spec.all_fields if not field.editable], now)
            forks.fork(state, run, place, enabled=mine)


def _setting(state: Lab, run: LabRun, place: int, field: Field, value: Any, *, enabled: bool) -> None:
    key = f"now.{run.view_id}.{place}.{field.name}"
    refused = state.unedited.get(key)
    if refused is None:  # else what was typed stays, beside why it cannot be
        st.session_state[key] = _shown(field, value)
        state.shown[key] = value

    def released() -> None:
        state.edit(key, place + 1, field.name, st.session_state[key])

    label, told = field_label(field), field_help(field)
    common = {"key": key, "on_change": released, "disabled": not enabled, "help": told}
    if field.kind == "choice":
        # "none" is a text here: None would be an empty box.
        st.selectbox(label, ["none" if choice is None else choice for choice in field.choices], **common)
    elif field.kind == "integer":
        most = None if field.high is None else int(field.high)
        st.number_input(label, min_value=int(field.low or 0), max_value=most, step=1, **common)
    elif field.name == "tau":
        st.slider(label, min_value=0.01, max_value=0.99, step=0.01, **common)
    elif field.logarithmic and value:
        base = run.experiment.lanes[place].settings[field.name]
        options = _decades(base, field, st.session_state[key])
        st.select_slider(label, options, format_func=number, **common)
    else:
        st.text_input(label, **common)
    if refused is not None:
        st.caption(f":red[{plain(refused)}]")


def _shown(field: Field, value: Any) -> Any:
    """The value as its control holds it."""
    if field.kind == "choice":
        return "none" if value is None else value
    if field.kind == "integer":
        return int(value)
    if field.name == "tau":
        return min(max(float(value), 0.01), 0.99)
    return float(value) if field.logarithmic and value else field.format(value)


def _decades(base: float, field: Field, now: Any) -> list[float]:
    """Values for a slider on a logarithmic scale: decades around the configured one, which is among them."""
    if not base:
        return [now]
    span = range(-_DECADES * _IN_A_DECADE, _DECADES * _IN_A_DECADE + 1)
    grid = {float(f"{base * 10 ** (place / _IN_A_DECADE):.2e}") for place in span if place} | {base, now}
    return sorted(value for value in grid if field.high is None or value <= field.high)


def _fixed(fields: list[Field], now: dict[str, Any]) -> None:
    st.markdown("**Stay as they are while the run trains**")
    for field in fields:
        st.caption(f"{plain(field_label(field))} = {plain(field.format(now[field.name]))}: {plain(field.fixed)}.")


def _undo(state: Lab, experiment: Experiment, enabled: bool) -> None:
    edits = experiment.edits
    with st.container(horizontal=True, vertical_alignment="center"):
        told = f"Takes back: {edit_words(experiment, edits[-1])}" if edits else "Nothing was changed yet."
        st.button(
            "Undo",
            key="do-undo",
            icon=":material/undo:",
            on_click=state.command,
            args=("undo",),
            disabled=not (enabled and edits),
            help=plain(told),
        )
    for edit in reversed(edits[-_LISTED:]):
        st.caption(plain(edit_words(experiment, edit)))
    if len(edits) > _LISTED:
        st.caption(f"and {len(edits) - _LISTED} earlier")


def edit_words(experiment: Experiment, edit: Edit) -> str:
    """``From step 120 on, lane 2: τ = 0.5``."""
    owners = concerned(edit, experiment.lanes)
    fields = {field.name: field for field in (*RUN_FIELDS, *experiment.lanes[owners[0] - 1].spec.all_fields)}
    field = fields[edit.setting]
    lane = "every lane" if edit.lane is None else f"lane {edit.lane}"
    return f"From step {edit.step:,} on, {lane}: {field.symbol or field.label} = {field.format(edit.value)}"
