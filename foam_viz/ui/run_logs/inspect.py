"""One run from the inside: the panels of the live lab at a moment of the run, and what deserves a look."""

from __future__ import annotations

from functools import partial

import streamlit as st

from foam_viz.analysis.finding import Finding
from foam_viz.analysis.findings import findings
from foam_viz.figures.scene import Lane
from foam_viz.trace.visible import shortened
from foam_viz.ui.board.board import board
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.isolation import isolated
from foam_viz.ui.run_logs.cards import nothing, run_choice
from foam_viz.ui.run_logs.loss_choice import loss_choice
from foam_viz.ui.run_logs.own_sources import own_source
from foam_viz.ui.run_logs.runs_table import holds_runs, runs_table
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain

_MARKS = {"error": ":red[●]", "warning": ":orange[●]", "note": ":gray[●]"}
_KEPT_FINDINGS = 40


def inspect(state: Logs, runs: list[Run]) -> None:
    """The whole view."""
    if not runs:
        nothing(state)
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="look"):
        run = run_choice(state, runs, "logs.inspected", width=300)
    state.factor = min(state.factor, max(len(run.trace.manifest.factors) - 1, 0))
    if holds_runs(run):
        runs_table(run)
        return
    loss_choice(state, run, "logs.inspected-loss")
    _findings(state, run)
    _panels(state, run)


def go_to(state: Logs, key: str, step: int | None) -> None:
    """Look at a step of a run; None for its end, which follows the run while it grows."""
    if step is None:
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
        st.caption("No anomalies found: no spikes, no NaN or infinity, no factor left behind.")
        return
    words = (
        f"{len(found):,} finding{'s' if len(found) != 1 else ''}, the most serious first: press one to go to its step"
    )
    with (
        st.expander(words, icon=":material/troubleshoot:", expanded=True, key="findings"),
        st.container(height=min(26 + 34 * len(found), 190), border=False, key="findings-list", gap="xsmall"),
    ):
        for position, finding in enumerate(found[:_KEPT_FINDINGS]):
            st.button(
                f"{_MARKS[finding.severity]} **step {finding.step:,}** {plain(finding.words, 260)}",
                key=f"finding-{position}",
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


def _panels(state: Logs, run: Run) -> None:
    has_factors = bool(run.trace.manifest.factors)

    def follow(factor: int | None, lane: int) -> None:
        if factor is not None and factor < len(run.trace.manifest.factors):
            state.factor = factor

    def chosen(look: dict) -> None:
        for name in ("loss_axis", "loss_log", "measure"):
            setattr(state, name, look.get(name, getattr(state, name)))

    def cards(names: tuple[str, ...]) -> None:
        state.cards = names

    board(
        key="logs-inspect-board",
        source=_source(run),
        look={
            "factor": state.factor if has_factors else None,
            "lane": 0,
            "loss_axis": state.loss_axis,
            "loss_log": state.loss_log,
            "measure": state.measure,
            "at": state.moments.get(run.key),
        },
        panels=state.cards,
        name=run.label,
        on_follow=follow,
        on_look=chosen,
        on_panels=cards,
        on_moment=partial(go_to, state, run.key),
    )


def _source(run: Run) -> str:
    """Id of what the board shows. What everybody sees alike has one for all."""
    kind, _, name = run.key.partition("/")
    if kind == "sample" and run.label == run.trace.manifest.name:
        return f"sample:{name}"
    if kind == "live":
        return name.replace("/", ":")
    lane = Lane(run.trace, shortened(run.label), 0)
    return own_source("logs-inspect-board", (run.trace, lane.label), lambda identity: RecordedSource(identity, [lane]))
