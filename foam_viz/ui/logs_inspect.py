"""One run from the inside: the panels of the live lab at a moment of the run, and what deserves a look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from foam_viz.analysis.axes import at_steps
from foam_viz.analysis.finding import Finding
from foam_viz.analysis.findings import findings
from foam_viz.analysis.series import Missing, series
from foam_viz.analysis.targets import last as last_values
from foam_viz.figures.catalogue import PANELS, panels_for
from foam_viz.figures.look import Look
from foam_viz.figures.panel import Drawing, without_place
from foam_viz.figures.scene import Lane, Scene
from foam_viz.figures.theme import LIGHT, number
from foam_viz.trace import Trace
from foam_viz.trace.counts import refreshes
from foam_viz.trace.visible import shortened
from foam_viz.ui.board import LaneChip, Panel, board
from foam_viz.ui.isolation import drawing, isolated
from foam_viz.ui.lab_controls import LOSS_AXES
from foam_viz.ui.logs_cards import nothing, run_choice
from foam_viz.ui.logs_runs_table import holds_runs, runs_table
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain

_AT_MOMENT = frozenset({"factor-map", "spectrum", "overlap", "decision", "picture"})
"""Panels that show what was at the moment; the others show the whole run, with a line there."""
_AXES = {"step": "step", "optimizer_seconds": "fair_time", "decompositions": "decompositions"}
_MARKS = {"error": ":red[●]", "warning": ":orange[●]", "note": ":gray[●]"}
_KEPT_FINDINGS = 40
_LIVE_SECONDS = 1.0


def inspect(state: Logs, runs: list[Run]) -> None:
    """The whole view."""
    if not runs:
        nothing(state)
        return
    for key, value in (("logs.loss-axis", state.loss_axis), ("logs.loss-log", state.loss_log)):
        if key not in st.session_state:
            st.session_state[key] = value
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="look"):
        run = run_choice(state, runs, "logs.inspected", width=300)
        axis = st.selectbox(
            "Loss against",
            list(LOSS_AXES),
            key="logs.loss-axis",
            format_func=LOSS_AXES.get,
            width=165,
            persist_state="page",
            help="Seconds are those of training alone: no evaluation and no recording.",
        )
        _factor(state, run)
        log = st.toggle("Log loss", key="logs.loss-log", persist_state="page", help="A logarithmic axis for the loss.")
    state.loss_axis, state.loss_log = axis, log
    if holds_runs(run):
        runs_table(run)
        return
    moment = _moment(state, run)
    _findings(state, run)
    _panels(state, run, axis, log, moment)


def _factor(state: Logs, run: Run) -> None:
    names = run.trace.manifest.factor_names
    state.factor = min(state.factor, max(len(names) - 1, 0))
    if names:
        st.session_state["logs.factor"] = state.factor

    def chosen() -> None:
        state.factor = st.session_state["logs.factor"]

    st.selectbox(
        "Factor",
        range(len(names)),
        key="logs.factor",
        on_change=chosen,
        format_func=lambda i: names[i].with_shape,
        disabled=not names,
        placeholder="the log tells no factors apart",
        width=250,
        help="The factor that spectrum, damping and overlap show.",
    )


def _moment(state: Logs, run: Run) -> int | None:
    """The step looked at; None for the end."""
    steps = run.trace.values("steps", "step")
    if len(steps) < 2 or int(steps.max()) <= int(steps.min()):
        return None
    first, end = int(steps.min()), int(steps.max())
    key = f"logs.moment.{run.key}"
    st.session_state[key] = min(max(state.moments.get(run.key, end), first), end)

    def moved() -> None:
        go_to(state, run.key, st.session_state[key], end)

    st.slider(
        "Moment (step)",
        first,
        end,
        key=key,
        on_change=moved,
        format="localized",
        help="Spectrum, overlap, factor map and decision show what was at this step; the line in the other panels is "
        "there.",
    )
    return state.moments.get(run.key)


def go_to(state: Logs, key: str, step: int, end: int) -> None:
    """Look at a step of a run; its end follows the run while it grows."""
    if step >= end:
        state.moments.pop(key, None)
    else:
        state.moments[key] = step


def _findings(state: Logs, run: Run) -> None:
    broken: list[str] = []
    found = isolated("The list of findings", lambda: findings(run.trace), lambda line: broken.append(line) or [])
    if broken:
        st.caption(broken[0])
        return
    if not found:
        st.caption("No anomalies found: no spike, no value that is not finite, no factor left behind.")
        return
    words = f"{len(found):,} finding{'s' if len(found) != 1 else ''}, the gravest first: each leads to its moment"
    with (
        st.expander(words, icon=":material/troubleshoot:", expanded=True, key="findings"),
        st.container(height=min(26 + 34 * len(found), 190), border=False, key="findings-list", gap="xsmall"),
    ):
        for place, finding in enumerate(found[:_KEPT_FINDINGS]):
            st.button(
                f"{_MARKS[finding.severity]} **step {finding.step:,}** {plain(finding.words, 260)}",
                key=f"finding-{place}",
                on_click=_look_at,
                args=(state, run, finding),
                type="tertiary",
                help="Shows this moment" + (" and this factor." if finding.factor is not None else "."),
            )
        if len(found) > _KEPT_FINDINGS:
            st.caption(f"And {len(found) - _KEPT_FINDINGS:,} more.")


def _look_at(state: Logs, run: Run, finding: Finding) -> None:
    state.moments[run.key] = finding.step  # at the end too: the line shows where
    if finding.factor is not None:
        state.factor = finding.factor


def _panels(state: Logs, run: Run, axis: str, log: bool, moment: int | None) -> None:
    st.session_state["logs-inspect-everything"] = True
    shown = state.factor

    @st.fragment(run_every=_LIVE_SECONDS if run.live else None, key="logs-inspect-panels")
    def draw() -> None:
        def follow(factor: int | None, lane: int) -> None:
            if factor is not None and factor < len(run.trace.manifest.factors):
                state.factor = factor

        now = replace(run, trace=run.trace.view())
        look = Look(factor=state.factor if run.trace.manifest.factors else None, loss_axis=axis, loss_log=log)
        board(
            key="logs-inspect-board",
            panels=drawn(now, look, moment),
            lanes=[isolated("The row of the run", lambda: _chip(now, moment), lambda _: LaneChip(0, run.label, []))],
            everything=st.session_state.pop("logs-inspect-everything", False),
            on_follow=follow,
            focus=0,
        )
        if words := without_place(PANELS, [Lane(now.trace, run.label, 0)]):
            st.caption(words)
        if state.factor != shown or (run.live and (not state.training or state.replaced([run]))):
            st.rerun()  # the choice of the factor outside shows another one, or there is nothing more to wait for

    draw()


def drawn(run: Run, look: Look, moment: int | None) -> list[Panel]:
    """The panels of a run at a moment, None for its end.

    Those over time show the whole run, with a line at the moment; what they say in words is of the moment, too.
    """
    whole = Scene([Lane(run.trace, shortened(run.label), 0)], look)
    then = Scene(whole.lanes, replace(look, at=moment))
    panels = []
    for spec in panels_for(whole.lanes):
        drawing_then = drawing(spec, then)
        if moment is not None and drawing_then.empty:
            drawing_then = Drawing(empty=f"Nothing of this was recorded up to step {moment:,}; later moments have it.")
        if moment is None or spec.id in _AT_MOMENT:
            panels.append(Panel(spec, drawing_then))
            continue
        over_time = _with_line(drawing(spec, whole), run.trace, spec.id, look, moment)
        if over_time.figure is not None:
            words = drawing_then.reading or "nothing recorded up to this step"
            over_time = replace(over_time, reading=words, moment=drawing_then.moment or f"step {moment:,}")
        panels.append(Panel(spec, over_time))
    return panels


def _with_line(drawing: Drawing, trace: Trace, panel: str, look: Look, moment: int | None) -> Drawing:
    """With a vertical line at the moment."""
    if moment is None or drawing.figure is None:
        return drawing
    place = at_steps(trace, _AXES[look.loss_axis] if panel == "loss" else "step", np.array([moment]))
    if place is None or not np.isfinite(place[0]):
        return drawing
    layout = drawing.figure["layout"]
    line = {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": float(place[0]),
        "x1": float(place[0]),
        "y0": 0,
        "y1": 1,
        "line": {"color": LIGHT.accent, "width": 1.5, "dash": "dot"},
    }
    shapes = [*layout.get("shapes", ()), line]
    figure = {**drawing.figure, "layout": {**layout, "shapes": shapes}}
    return replace(drawing, figure=figure)


def _chip(run: Run, moment: int | None) -> LaneChip:
    """What the run had reached at the moment. A value of an earlier step says of which."""
    trace = run.trace.view(moment)
    steps = trace.values("steps", "step")
    now = int(steps.max()) if len(steps) else 0
    cells = []
    for metric, label in (("loss", "Loss"), ("held_out_loss", "Held out")):
        found = series(trace, metric)
        last = None if isinstance(found, Missing) else last_values(found)
        text = "–" if last is None else last.text
        if last is not None and len(found) and found.step[-1] < now:
            text += f" · step\u00a0{found.step[-1]:,.0f}"
        cells.append((label, text, found.reason if last is None else f"The last value: {last.words}."))
    cells.append(("Step", f"{now:,}" if len(steps) else "–", "Last step logged up to the moment looked at."))
    if trace.has("steps", "optimizer_seconds"):
        seconds = trace.values("steps", "optimizer_seconds").astype(float)
        words = f"Seconds charged to training alone, up to step {now:,}."
        cells.append(("Training", number(float(np.nanmax(seconds)), "s"), words))
    if counted := refreshes(trace):
        words = f"Of all factors, up to step {counted.last:,}: {counted.words}."
        cells.append(("Decompositions", number(counted.decompositions), words))
        if counted.per_factor is not None:
            cells.append(("Per factor, 100 steps", number(counted.per_factor), words))
    return LaneChip(0, run.label, cells, run.trace.manifest.status)
