"""What was recognised: all runs in a table, one of them in full, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import streamlit as st

from foam_viz.logs.core import catalogue
from foam_viz.logs.core.reader import Problem
from foam_viz.trace.disk import strict_json
from foam_viz.ui.run_logs import columns as logs_columns
from foam_viz.ui.run_logs import pattern as logs_pattern
from foam_viz.ui.run_logs.loss_choice import loss_choice
from foam_viz.ui.run_logs.origins import listed, origin_of
from foam_viz.ui.run_logs.runs_table import holds_runs, runs_table
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain

_MOST_PROBLEMS, _MOST_NOTES, _MOST_FILES = 40, 60, 60
_OWN = "Run bundle of this app"
_MOST_ROWS, _LONG_TABLE = 12, 460
_LETTER, _PADDING = 6, 22
"""Pixels of a letter, and of what is beside the words of a cell: a column as wide as its longest words cuts none."""


@lru_cache(maxsize=64)
def format_label(name: str) -> str:
    """A format's name to show."""
    if name == "foam_viz":
        return _OWN
    try:
        return catalogue.find(name).label
    except KeyError:
        return name


def steps_of(run: Run) -> str:
    """First and last step of a run in words."""
    if not run.trace.rows("steps"):
        return "none"
    steps = run.trace.values("steps", "step")
    return f"{int(steps.min()):,} – {int(steps.max()):,}"


def recognised(state: Logs, runs: list[Run]) -> None:
    """The whole view."""
    problems(state)
    logs_pattern.patterns(state)
    if not runs:
        nothing(state)
        return
    _overview(state, runs)
    _card(state, runs)


def nothing(state: Logs) -> None:
    """In place of a view that has nothing to show."""
    with st.container(
        border=True, key="logs-empty", horizontal_alignment="center", vertical_alignment="center", height=260
    ):
        if state.open.pending:
            st.markdown(":gray[Reading the logs. Their runs appear here when that is done.]", width="content")
        else:
            st.markdown(
                ":gray[Nothing is open. Drop logs in the sidebar, files or a whole folder, or choose recorded samples "
                "there.]",
                width="content",
            )


def problems(state: Logs) -> None:
    """What could not be read, each with file, place, reason and remedy."""
    found = [problem for source in state.sources for problem in source.found.problems]
    if not found:
        return
    words = f"{len(found):,} thing{'s' if len(found) != 1 else ''} could not be read; everything else is open"
    with st.expander(words, icon=":material/report:", expanded=len(found) <= 3, key="problems"):
        for problem in found[:_MOST_PROBLEMS]:
            st.markdown(_words(problem))
        if len(found) > _MOST_PROBLEMS:
            st.caption(f"And {len(found) - _MOST_PROBLEMS:,} more.")


def _words(problem: Problem) -> str:
    place = f", {plain(problem.place)}" if problem.place else ""
    remedy = f" :gray[{plain(problem.remedy[:1].upper() + problem.remedy[1:], 600)}.]" if problem.remedy else ""
    return f"**{plain(problem.file)}**{place}: {plain(problem.reason, 600)}.{remedy}"


def _overview(state: Logs, runs: list[Run]) -> None:
    rows = [
        {
            "Run": run.label,
            "Format": format_label(run.trace.manifest.format),
            "From": origin_of(run)[0],
            "Rows": run.trace.rows("steps") or None,
            "Steps": steps_of(run),
            "Factors": len(run.trace.manifest.factors) or None,
            "Checks": run.trace.rows("checks") or None,
            "State": run.trace.manifest.status,
            "Notes": len(run.trace.manifest.notes) or None,
        }
        for run in runs
    ]

    def picked() -> None:
        chosen = st.session_state["logs.table"].selection.rows
        if chosen and chosen[0] < len(runs):
            choose(state, runs[chosen[0]].key)

    st.dataframe(
        rows,
        key="logs.table",
        hide_index=True,
        on_select=picked,
        selection_mode="single-row",
        height="auto" if len(rows) <= _MOST_ROWS else _LONG_TABLE,
        column_config={
            "Run": st.column_config.TextColumn(width="medium", help="A double click shows all of a name that is cut."),
            "Format": st.column_config.TextColumn(width=_width(row["Format"] for row in rows)),
            "From": st.column_config.TextColumn(
                width=_width(row["From"] for row in rows), help="Choose a row: the card below lists all its files."
            ),
            "Rows": st.column_config.NumberColumn(format="localized", help="Rows of the table of steps."),
            "Checks": st.column_config.NumberColumn(
                format="localized", help="Rows of the table of checks: decisions of single factors, or their counts."
            ),
            "Factors": st.column_config.NumberColumn(help="Preconditioner factors that the log tells apart."),
            "Steps": st.column_config.TextColumn(width=120, help="First and last step logged."),
            "Notes": st.column_config.NumberColumn(help="What was guessed, repaired, dropped or left out."),
        },
        placeholder="–",
        alt="All runs that are open",
    )


def _width(texts: Iterable[str]) -> int:
    return _PADDING + _LETTER * max(map(len, texts))


def choose(state: Logs, key: str) -> None:
    """Look at another run, everywhere on the page."""
    state.run = key
    state.factor = 0


def run_choice(state: Logs, runs: list[Run], key: str, **more: Any) -> Run:
    """A selectbox of the run looked at."""
    by_key = {run.key: run for run in runs}
    if state.run not in by_key and not state.asked:
        choose(state, runs[0].key)
    st.session_state[key] = shown = state.run if state.run in by_key else runs[0].key

    def chosen() -> None:
        choose(state, st.session_state[key])

    st.selectbox("Run", list(by_key), key=key, on_change=chosen, format_func=lambda k: by_key[k].label, **more)
    return by_key[shown]


def _card(state: Logs, runs: list[Run]) -> None:
    with st.container(border=True, key="card"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            run = run_choice(state, runs, "logs.card", width=420)
            _secrets(state)
        manifest = run.trace.manifest
        facts = [
            ("Format", format_label(manifest.format)),
            ("Rows", f"{run.trace.rows('steps'):,}"),
            ("Steps", steps_of(run)),
            ("State", manifest.status + (f" at step {manifest.diverged_step:,}" if manifest.diverged_step else "")),
            ("Optimizer", manifest.optimizer or "not told"),
            ("Task", manifest.task or "not told"),
        ]
        st.markdown(" · ".join(f":gray[{label}] {plain(value)}" for label, value in facts))
        loss_choice(state, run, "logs.loss")
        if manifest.files:
            st.markdown(f":gray[Files] {plain(listed(manifest.files, _MOST_FILES), 3000)}")
        for note in manifest.notes[:_MOST_NOTES]:
            st.markdown(f"- {plain(note, 600)}")
        if holds_runs(run):
            runs_table(run)
        logs_columns.columns(state, run)
        if manifest.config or manifest.hardware or manifest.software:
            with st.expander("What the log says of the run", icon=":material/description:"):
                told = {"config": manifest.config, "hardware": manifest.hardware, "software": manifest.software}
                st.code(strict_json.dumps({k: v for k, v in told.items() if v}), language=None, height=360)


def _secrets(state: Logs) -> None:
    def changed() -> None:
        state.open.show_secrets = st.session_state["logs.secrets"]
        state.open.read_all()

    st.session_state["logs.secrets"] = state.open.show_secrets
    st.toggle(
        "Show masked values",
        key="logs.secrets",
        on_change=changed,
        disabled=not state.sources,
        help="Keys, tokens and e-mail addresses in configurations are masked unless you ask for them here.",
    )
