"""The sidebar of the live lab: the settings of the run on the page, and those of the next one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.experiment import config, links
from foam_viz.experiment.config import RUN_FIELDS, LaneConfig
from foam_viz.experiment.presets import PRESETS
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field
from foam_viz.tasks import catalogue as tasks
from foam_viz.ui.lab.task_file import task_file
from foam_viz.ui.lab.this_run import edit_words, this_run
from foam_viz.ui.server import hub
from foam_viz.ui.session.lab import Lab, begun
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import field_widget, popover

# Shown at once; the rest of an optimizer's settings waits under "More settings".
_FIRST = ("lr", "period", "start", "tau", "epsilon", "epsilon_max")
_SCHEDULE_FIELDS = {"warmup_steps": "warm-up", "decay_steps": "linear-decay"}


def sidebar(state: Lab) -> None:
    """Draws the sidebar and brings the configuration up to what its widgets say."""
    state.next.take_in()
    run = state.run()
    with st.sidebar:
        _presets(state)
        if begun(run):
            # Of thirty pages, what nobody sees would cost as much as what they see: only the open tab is drawn.
            this, following = st.tabs(["This run", "Next run"], key="whose-settings", on_change="rerun")
            if not following.open:
                with this:
                    this_run(state, run)
            else:
                with following:
                    st.caption("For a new run: Reset makes it and keeps this one. The run on the page does not change.")
                    _next_run(state, run)
        else:
            _next_run(state, None)
    state.next.keep_typed()


def _next_run(state: Lab, run: LabRun | None) -> None:
    shown = state.experiment.labels()
    _task(state)
    for place, lane in enumerate(state.experiment.lanes):
        _lane(state, place, lane, shown[place])
    if len(state.experiment.lanes) < config.MAXIMUM_LANES:
        st.button(
            "Add optimizer",
            icon=":material/add:",
            on_click=state.next.add_lane,
            key="add-lane",
            width="stretch",
            help="Trains beside the others: same initial weights, same batches, in lockstep.",
        )
    _edits(state, run)
    _device(state)
    for error in state.next.beyond:
        st.error(plain(error))


def _edits(state: Lab, run: LabRun | None) -> None:
    """What changes while the next run trains: taken from a link, or from the run on the page."""
    now = state.experiment
    if now.edits or now != now.plain():
        st.markdown("**Changes while it trains**")
        for edit in now.edits:
            st.caption(plain(edit_words(now, edit)))
        st.button("Leave them out", key="forget-edits", on_click=state.forget_edits, icon=":material/close:")
    elif run is not None and run.experiment != run.experiment.plain():
        st.button(
            "Take this run's settings, edits and forks",
            key="repeat-edits",
            on_click=state.repeat_edits,
            icon=":material/replay:",
            help="The next run is then this one again, step by step.",
            width="stretch",
        )


def _presets(state: Lab) -> None:
    def chosen() -> None:
        if name := st.session_state.get("preset"):
            state.begin(links.from_query(PRESETS[name].query)[0])

    st.selectbox(
        "Preset",
        list(PRESETS),
        index=None,
        key="preset",
        on_change=chosen,
        format_func=lambda name: PRESETS[name].label,
        placeholder="Classic comparisons",
        help="Fills in a comparison worth watching. " + " ".join(f"{p.label}: {p.why}" for p in PRESETS.values()),
    )


def _fields(state: Lab, fields: tuple[Field, ...], prefix: str, settings: dict[str, Any]) -> None:
    for field in fields:
        key = f"{prefix}.{field.name}"
        field_widget(field, key, settings[field.name], state.next.errors.get(key))


def _task(state: Lab) -> None:
    now = state.experiment
    key = "set.task"
    if key not in st.session_state:
        st.session_state[key] = now.task
    with st.expander("Task", expanded=True, icon=":material/target:"):
        st.selectbox(
            "Task",
            list(tasks.TASKS),
            key=key,
            on_change=lambda: state.next.use_task(st.session_state[key]),
            format_func=lambda name: tasks.TASKS[name].label,
            label_visibility="collapsed",
        )
        spec = tasks.find(now.task)
        st.caption(spec.summary)
        _fields(state, spec.fields, f"set.task.{now.task}", now.task_settings)
        task_file(state)
        # A setting that the schedule does not use is not shown; it keeps its value.
        needs = {field.name: _SCHEDULE_FIELDS.get(field.name, "") for field in RUN_FIELDS}
        used = tuple(field for field in RUN_FIELDS if needs[field.name] in now.run_settings["schedule"])
        _fields(state, used, "set.run", now.run_settings)


def _lane(state: Lab, place: int, lane: LaneConfig, label: str) -> None:
    lane_id = state.next.lane_ids[place]
    box = f"lane-{lane_id}"
    opened: dict[int, bool] = st.session_state.setdefault("lanes-open", {})

    def toggled() -> None:
        opened[lane_id] = bool(st.session_state[box])

    if any(key.startswith(f"set.lane.{lane_id}.") for key in state.next.errors):
        opened.setdefault(lane_id, True)  # what cannot be is said beside its box
    # A change of its name would close it: whether it is open is kept here.
    title = f"{place + 1} · {plain(label)}"
    with st.expander(title, expanded=opened.get(lane_id, place == 0), key=box, on_change=toggled) as shown:
        if not shown.open:
            return
        if lane.parent is not None:
            st.caption(f"Lane {lane.parent.lane} up to step {lane.parent.step:,}, then a lane of its own.")
            _remove(state, lane_id)
            return
        key = f"set.lane.{lane_id}"
        if f"{key}.optimizer" not in st.session_state:
            st.session_state[f"{key}.optimizer"] = lane.optimizer
        st.selectbox(
            "Optimizer",
            list(optimizers.OPTIMIZERS),
            key=f"{key}.optimizer",
            format_func=_optimizer_label,
            help="What trains this lane. Variants marked as ours are this project's, not a paper's.",
        )
        st.caption(lane.spec.summary)
        first = tuple(field for n in _FIRST for field in lane.spec.all_fields if field.name == n)
        rest = tuple(field for field in lane.spec.all_fields if field.name not in _FIRST)
        _fields(state, first, f"{key}.{lane.optimizer}", lane.settings)
        with popover("More settings", f"more-{lane_id}", width="stretch") as more:
            if more:
                _fields(state, rest, f"{key}.{lane.optimizer}", lane.settings)
        if len(state.experiment.lanes) > 1:
            _remove(state, lane_id)


def _remove(state: Lab, lane_id: int) -> None:
    st.button(
        "Remove",
        key=f"remove-{lane_id}",
        icon=":material/close:",
        on_click=state.remove_lane,
        args=(lane_id,),
        type="tertiary",
    )


def _optimizer_label(name: str) -> str:
    spec = optimizers.OPTIMIZERS[name]
    return f"{spec.label} (ours)" if spec.is_ours else spec.label


def _device(state: Lab) -> None:
    labels = {"auto": "Automatic", **dict(hub().devices)}
    if "device" not in st.session_state:
        st.session_state["device"] = state.next.device if state.next.device in labels else "auto"
    state.next.device = st.selectbox(
        "Device",
        list(labels),
        key="device",
        format_func=lambda name: labels[name],
        help=f"Where new runs train. Automatic is the {hub().device('auto').upper()} here (device).",
    )
