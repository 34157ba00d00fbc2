"""How the columns of a log were taken, as a table that can be corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from foam_viz.logs.core.reader import ColumnRule
from foam_viz.trace import Trace
from foam_viz.trace.schema import STEPS
from foam_viz.ui.session.corrections import Rules, Shape
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain

LEFT_OUT = "– leave out –"
_MOST_ROWS, _LONG_TABLE = 10, 390
_LONGEST = 200


def rows_of(trace: Trace) -> list[dict[str, Any]]:
    """One row a column of the source, as the table shows it."""
    return [
        {
            "source": str(column.get("source", "")),
            "samples": ",  ".join(str(value) for value in column.get("samples", ()) or ()),
            "target": str(column.get("target") or LEFT_OUT),
            "unit": str(column.get("unit") or ""),
            "scale": float(column.get("scale") or 1.0),
            "guessed": bool(column.get("guessed", True)),
        }
        for column in trace.manifest.source_columns
    ]


def rules_of(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], known: Rules
) -> tuple[Rules, list[str]]:
    """The rules that an edited table stands for.

    Args:
        before: Rows as they were shown.
        after: The same rows, edited.
        known: Rules in force; they stay where their row was not edited.

    Returns:
        All rules, and what is wrong with the edited rows, in words; those rows change nothing.
    """
    rules, wrong = dict(known), []
    units = {column.name: column.unit for column in STEPS.columns}
    for old, new in zip(before, after, strict=True):
        if all(old[name] == new[name] for name in ("target", "unit", "scale")):
            continue
        source, scale = old["source"], new["scale"]
        if scale is None or not math.isfinite(scale) or scale == 0:
            wrong.append(f"{source}: the scale must be a finite number other than 0")
            continue
        target = "" if new["target"] in (LEFT_OUT, None) else str(new["target"])
        # The schema's own columns have units of their own; to be in them is what the scale is for.
        unit = units[target] if target in units else str(new["unit"] or "")[:_LONGEST]
        rules[source] = ColumnRule(target=target, unit=unit, scale=float(scale))
    kept: dict[str, str] = {row["source"]: row["target"] for row in before if row["target"] != LEFT_OUT}
    kept |= {source: rule.target for source, rule in rules.items()}
    for target in {rule.target for rule in rules.values() if rule.target}:
        rivals = [source for source, name in kept.items() if name == target]
        if len(rivals) > 1:
            wrong.append(f"{', '.join(rivals)} cannot all be {target}: leave out or rename all but one")
    return (dict(known) if wrong else rules), wrong


def columns(state: Logs, run: Run) -> None:
    """The table, and what to do with it."""
    before = rows_of(run.trace)
    if not before or run.source is None:
        return
    known = state.open.corrections.of(run.trace)
    st.markdown(
        "**Columns** :gray[as they were understood. Change target, unit or scale (value × scale is in the unit), then "
        "apply. It holds for every log with these columns that you open in this browser.]"
    )
    names = [column.name for column in STEPS.columns]
    targets = list(
        dict.fromkeys([LEFT_OUT, *names, *(row["target"] for row in before), *(r["source"] for r in before)])
    )
    version = st.session_state.setdefault("logs.columns-version", 0)
    after = st.data_editor(
        before,
        key=f"logs.columns.{run.key}.{hash(Shape.of(run.trace))}.{version}.{hash(str(before))}",
        hide_index=True,
        num_rows="fixed",
        height="auto" if len(before) <= _MOST_ROWS else _LONG_TABLE,
        disabled=("source", "samples", "guessed"),
        column_config={
            "source": st.column_config.TextColumn("Column of the log", width="medium"),
            "samples": st.column_config.TextColumn("Three values", width="medium", help="As they stand in the log."),
            "target": st.column_config.SelectboxColumn(
                "Taken as", options=targets, required=True, help="The column of the run that it becomes."
            ),
            "unit": st.column_config.TextColumn("Unit", width="small", help="After scaling.", max_chars=40),
            "scale": st.column_config.NumberColumn(
                "Scale", width="small", format="%g", help="0.001 from milliseconds to seconds."
            ),
            "guessed": st.column_config.CheckboxColumn("Guessed", width="small", help="You have not corrected it."),
        },
    )
    rules, wrong = rules_of(before, after, known)
    for words in wrong:
        st.error(plain(words), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Apply",
            key="logs.apply",
            type="primary",
            icon=":material/check:",
            disabled=rules == known,
            on_click=_apply,
            args=(state, run.trace, rules),
        )
        if known:
            st.button("Forget corrections", key="logs.forget", on_click=_apply, args=(state, run.trace, {}))
            st.caption(
                f"Corrections of {len(known):,} column{'s' if len(known) != 1 else ''} are remembered and in use."
            )


def _apply(state: Logs, trace: Trace, rules: Rules) -> None:
    st.session_state["logs.columns-version"] += 1
    state.open.correct(trace, rules)
