"""The sidebar of the live lab: what is trained and under which optimizers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.engine import config
from foam_viz.engine.config import RUN_FIELDS, LaneConfig
from foam_viz.engine.presets import PRESETS
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import Field, FieldError
from foam_viz.tasks import catalogue as tasks
from foam_viz.ui.server import hub
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import field_widget

# Shown at once; the rest of an optimizer's settings waits under "More settings".
_FIRST = ("lr", "period", "start", "tau", "epsilon", "epsilon_max")
_SCHEDULE_FIELDS = {"warmup_steps": "warm-up", "decay_steps": "linear-decay"}


def sidebar(state: Lab) -> None:
    """Draws the sidebar and brings the configuration up to what its widgets say."""
    with st.sidebar:
        _presets(state)
        task, task_settings, run_settings = _task(state)
        shown = state.experiment.labels()
        lanes = [_lane(state, task, place, lane, shown[place]) for place, lane in enumerate(state.experiment.lanes)]
        if len(lanes) < config.MAXIMUM_LANES:
            st.button(
                "Add optimizer",
                icon=":material/add:",
                on_click=state.add_lane,
                key="add-lane",
                width="stretch",
                help="Trains beside the others: same initial weights, same batches, in lockstep.",
            )
        _device(state)
    state.experiment, errors = config.build(task, task_settings, run_settings, lanes)
    device = hub().device(state.device)
    try:
        tasks.require_precision(run_settings["precision"], device)
    except FieldError as error:
        errors.append(error)
        run_settings["precision"] = state.experiment.run_settings["precision"] = "float32"
    for error in [*errors, *hub().review(state.experiment, state.device)]:
        st.sidebar.error(str(error))
    if state.experiment.labels() != shown:
        st.rerun()  # a lane is named by its settings, and its name stands above them


def _presets(state: Lab) -> None:
    def chosen() -> None:
        if name := st.session_state.get("preset"):
            state.use(config.from_query(PRESETS[name].query)[0])

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


def _fields(fields: tuple[Field, ...], prefix: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {field.name: field_widget(field, f"set.{prefix}.{field.name}", settings[field.name]) for field in fields}


def _task(state: Lab) -> tuple[str, dict[str, Any], dict[str, Any]]:
    now = state.experiment
    key = "set.task"
    if key not in st.session_state:
        st.session_state[key] = now.task
    with st.expander("Task", expanded=True, icon=":material/target:"):
        task = st.selectbox(
            "Task",
            list(tasks.TASKS),
            key=key,
            on_change=lambda: state.use_task(st.session_state[key]),
            format_func=lambda name: tasks.TASKS[name].label,
            label_visibility="collapsed",
        )
        spec = tasks.find(task)
        st.caption(spec.summary)
        settings = spec.review({k: v for k, v in now.task_settings.items() if task == now.task})[0]
        task_settings = _fields(spec.fields, f"task.{task}", settings)
        run_settings = dict(now.run_settings)
        for field in RUN_FIELDS:
            # A setting that the schedule does not use is not shown; it keeps its value.
            needs = _SCHEDULE_FIELDS.get(field.name)
            if needs is None or needs in run_settings["schedule"]:
                run_settings[field.name] = field_widget(field, f"set.run.{field.name}", now.run_settings[field.name])
    return task, task_settings, run_settings


def _lane(state: Lab, task: str, place: int, lane: LaneConfig, label: str) -> tuple[str, dict[str, Any]]:
    lane_id = state.lane_ids[place]
    box = f"lane-{lane_id}"
    opened: dict[int, bool] = st.session_state.setdefault("lanes-open", {})

    def toggled() -> None:
        opened[lane_id] = bool(st.session_state[box])

    # A change of its name would close it: whether it is open is kept here.
    title = f"{place + 1} · {plain(label)}"
    with st.expander(title, expanded=opened.get(lane_id, place == 0), key=box, on_change=toggled):
        key = f"set.lane.{lane_id}"
        if f"{key}.optimizer" not in st.session_state:
            st.session_state[f"{key}.optimizer"] = lane.optimizer
        name = st.selectbox(
            "Optimizer",
            list(optimizers.OPTIMIZERS),
            key=f"{key}.optimizer",
            format_func=_optimizer_label,
            help="What trains this lane. Variants marked as ours are this project's, not a paper's.",
        )
        spec, settings = lane.becoming(name, task)
        st.caption(spec.summary)
        first = tuple(field for n in _FIRST for field in spec.all_fields if field.name == n)
        rest = tuple(field for field in spec.all_fields if field.name not in _FIRST)
        settings |= _fields(first, f"lane.{lane_id}.{name}", settings)
        with st.popover("More settings", width="stretch"):
            settings |= _fields(rest, f"lane.{lane_id}.{name}", settings)
        if len(state.experiment.lanes) > 1:
            st.button(
                "Remove",
                key=f"remove-{lane_id}",
                icon=":material/close:",
                on_click=state.remove_lane,
                args=(lane_id,),
                type="tertiary",
            )
    return name, settings


def _optimizer_label(name: str) -> str:
    spec = optimizers.OPTIMIZERS[name]
    return f"{spec.label} (ours)" if spec.is_ours else spec.label


def _device(state: Lab) -> None:
    labels = {"auto": "Automatic", **dict(hub().devices)}
    state.device = st.selectbox(
        "Device",
        list(labels),
        key="device",
        format_func=lambda name: labels[name],
        help=f"Where new runs train. Automatic is the {hub().device('auto').upper()} here (device).",
    )
