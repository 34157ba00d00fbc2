"""Many runs beside each other: what to compare, and how."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.confounds import Confound, confounds, step_ranking_note, time_ranking_allowed
from foam_viz.analysis.series import metrics
from foam_viz.figures.look_fields import MOST_METRICS
from foam_viz.logs.parsing.patterns import Pattern, PatternError
from foam_viz.optim.fields import Field, FieldError
from foam_viz.ui import address
from foam_viz.ui.run_logs import compare_board as logs_compare_board
from foam_viz.ui.run_logs.cards import nothing
from foam_viz.ui.run_logs.published import published
from foam_viz.ui.run_logs.runs_table import holds_runs
from foam_viz.ui.session.logs import Logs, Run
from foam_viz.ui.text import plain

_FIELDS = {item.name: item.field for item in address.LOGS if isinstance(item.field, Field)}
_SMOOTHINGS = {"none": "None", "ema": "Exponential mean", "window": "Centred window"}
_AT_FIRST = 12
"""Runs compared before anybody chose."""


def compare(state: Logs, runs: list[Run]) -> None:
    """The whole view."""
    tables = [run for run in runs if holds_runs(run)]
    runs = [run for run in runs if not holds_runs(run)]
    if tables:
        names = ", ".join(plain(run.label, 60) for run in tables[:4])
        st.caption(f"Tables of runs hold no curves to compare and are shown under Runs: {names}.")
    if not runs:
        if not tables:
            nothing(state)
        published()
        return
    chosen = _runs(state, runs)
    if chosen and not any(metrics(run.trace) for run in chosen):
        st.caption("The chosen runs have recorded no numbers yet. Choose others, or come back after their first step.")
    elif chosen:
        _what(state, chosen)
        baseline, highlight = _how(state, chosen)
        found = confounds([run.trace for run in chosen])
        allowed = _confounds(state, found)
        logs_compare_board.draw(state, chosen, baseline, highlight, allowed, found)
    else:
        st.caption("Choose the runs to compare above.")
    published()


def _runs(state: Logs, runs: list[Run]) -> list[Run]:
    by_key = {run.key: run for run in runs}
    wanted = at_first(runs) if state.chosen is None else [key for key in state.chosen if key in by_key]
    st.session_state["logs.chosen"] = wanted
    offered: list[list[str]] = st.session_state.setdefault("logs.offered", [])
    if state.chosen is None and wanted not in offered:
        offered.append(wanted)

    def changed() -> None:
        picked = list(st.session_state["logs.chosen"])
        # A browser that has not heard of new runs yet sends what was chosen for it before: nobody chose that.
        if state.chosen is None and picked in offered:
            return
        state.chosen = picked

    labels = {run.key: run.label for run in runs}
    with st.container(key="compared", horizontal=True, vertical_alignment="bottom"):
        _by_name(state, runs)
        st.multiselect(
            f"Runs, {len(wanted):,} of {len(runs):,}",
            list(by_key),
            key="logs.chosen",
            on_change=changed,
            format_func=lambda run: labels.get(run, ""),
            placeholder="Choose runs",
            width="stretch",
            help="All runs that are open may be compared: uploaded, recorded and live ones.",
        )
    return [by_key[key] for key in wanted]


def _by_name(state: Logs, runs: list[Run]) -> None:
    """A text or regular expression that chooses the runs whose name or source has it."""

    def typed() -> None:
        text = st.session_state["logs.filter"].strip()
        if text == state.pattern:
            return
        state.pattern, state.pattern_problem = text, ""
        if not text:
            state.chosen = None
            return
        try:
            found = matching(runs, text)
        except PatternError as error:
            state.pattern_problem = f"No regular expression: {error}"
            return
        if found:
            state.chosen = found
        else:
            state.pattern_problem = "No run has this in its name, source or file."

    st.text_input(
        "By name",
        key="logs.filter",
        on_change=typed,
        placeholder="part of a name, or a regular expression",
        width=270,
        help="Chooses every run whose name, source or file has this text, or fits the regular expression (RE2), such "
        "as foam.*seed=[0-4]. Empty goes back to the first choice.",
    )
    if state.pattern_problem:
        st.caption(f":red[{plain(state.pattern_problem)}]")


def matching(runs: list[Run], text: str) -> list[str]:
    """Keys of the runs whose name, source or files have a text, or fit a regular expression.

    Raises:
        PatternError: It is no regular expression.
    """
    try:
        pattern = Pattern(f"(?i){text}")
    except PatternError:
        plainly = [run.key for run in runs if text.lower() in "\n".join(_words(run)).lower()]
        if plainly:
            return plainly
        raise
    return [run.key for run in runs if any(map(pattern.search, _words(run)))]


def _words(run: Run) -> tuple[str, ...]:
    return (run.label, run.origin, *run.trace.manifest.files)


def at_first(runs: list[Run]) -> list[str]:
    """Keys of the runs that are compared before anybody chose: those of one kind, and what trains here.

    Samples stand for what a reader could bring: once there are files or a live run, they are left out. Of the others,
    runs of one task belong together, or of one format where the logs tell no task: the kind that most of them are of,
    of two as frequent the first.
    """
    brought = [run for run in runs if not run.key.startswith("sample/")] or runs
    logs = [run for run in brought if not run.key.startswith("live/")]
    kinds = Counter(map(_kind, logs))
    kind = max(kinds, key=kinds.__getitem__, default=None)
    return [run.key for run in brought if run not in logs or _kind(run) == kind][:_AT_FIRST]


def _kind(run: Run) -> str:
    return run.trace.manifest.task or run.trace.manifest.format


def _kept(state: Logs, name: str) -> str:
    """Key of the widget of a field, which starts from the view and writes into it."""
    key = f"logs.{name}"
    if key not in st.session_state:
        value = state.view[name]
        field = _FIELDS[name]
        st.session_state[key] = field.format(value) if field.kind == "real" else value
    return key


def _choice(state: Logs, name: str, labels: dict[str, str], width: int) -> None:
    field = _FIELDS[name]
    state.view[name] = st.selectbox(
        field.label,
        list(labels),
        key=_kept(state, name),
        format_func=lambda word: labels.get(word, ""),
        help=field.help,
        width=width,
    )


def _toggle(state: Logs, name: str, **more: Any) -> None:
    field = _FIELDS[name]
    state.view[name] = st.toggle(field.label, key=_kept(state, name), help=field.help, **more)


def _number(state: Logs, name: str, width: int) -> None:
    """A text field of a number: it takes 3e-7, and 'none' or nothing where that is allowed."""
    field = _FIELDS[name]
    unit = f" ({field.unit})" if field.unit else ""
    text = st.text_input(f"{field.label}{unit}", key=_kept(state, name), help=field.help, width=width)
    try:
        state.view[name] = field.parse(text) if text.strip() else field.default
    except FieldError as error:
        st.caption(f":red[{plain(error)}; still {plain(field.format(state.view[name]))}]")


def _what(state: Logs, chosen: list[Run]) -> None:
    there = list(dict.fromkeys(name for run in chosen for name in metrics(run.trace)))
    wanted = [name for name in state.view["metric"] if name in there]
    st.session_state["logs.metric"] = wanted or _first_metric(there)

    def changed() -> None:
        state.view["metric"] = tuple(st.session_state["logs.metric"]) or ("loss",)

    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="what"):
        st.multiselect(
            "Metrics",
            there,
            key="logs.metric",
            on_change=changed,
            max_selections=MOST_METRICS,
            select_all=False,
            placeholder="Choose metrics",
            width=225,
            help="One panel for each metric, up to four. The table and the target use the first.",
        )
        _choice(state, "x", {axis.id: _capital(axis.title) for axis in BY_ID.values()}, 165)
        _choice(state, "smoothing", _SMOOTHINGS, 160)
        _number(state, "scale", 96)
        _number(state, "target", 96)
        _number(state, "at", 96)


def _first_metric(there: list[str]) -> list[str]:
    """The losses that there are, else the first column."""
    for name in ("loss", "held_out_loss"):
        if name in there:
            return [name]
    return there[:1]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _how(state: Logs, chosen: list[Run]) -> tuple[int | None, int | None]:
    """The rest of the controls; returns the baseline and the run brought forward, as places in the list."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="how"):
        baseline, highlight = _marks(state, chosen)
        _toggle(state, "log_x")
        _toggle(state, "log_y")
        _toggle(state, "raw", disabled=state.view["smoothing"] == "none")
        _toggle(state, "seeds")
    return baseline, highlight


def _marks(state: Logs, chosen: list[Run]) -> tuple[int | None, int | None]:
    _mark(state, chosen, "baseline", "Baseline", "Speed-ups to the target are against this run.")
    _mark(state, chosen, "front", "Bring forward", "Fades the other runs.")
    places = {run.key: position for position, run in enumerate(chosen)}
    return places.get(state.baseline or ""), places.get(state.front or "")


def _mark(state: Logs, runs: list[Run], name: str, label: str, words: str) -> None:
    """A choice of one of the runs; one that is not compared now stays chosen for when it is."""
    labels = {run.key: run.label for run in runs}
    key, wanted = f"logs.{name}", getattr(state, name)
    st.session_state[key] = wanted if wanted in labels else None

    def picked() -> None:
        setattr(state, name, st.session_state[key])

    st.selectbox(
        label,
        list(labels),
        index=None,
        key=key,
        on_change=picked,
        format_func=lambda word: labels.get(word, ""),
        placeholder="none",
        width=230,
        help=words,
    )


def _confounds(state: Logs, found: list[Confound]) -> bool:
    """What else differs between the runs; says whether they may be ranked along the axis chosen."""
    by_time = BY_ID[state.view["x"]].measure == "time"
    words = frozenset(confound.words for confound in found)
    if not found:
        return True
    certain = sum(confound.certain for confound in found)
    unknown = len(found) - certain
    words_of = [f"{_things(certain)} differ{'s' if certain == 1 else ''} besides the optimizer"] if certain else []
    words_of += [f"{_things(unknown)} the logs leave out"] if unknown else []
    title = "; ".join(words_of)
    withheld = by_time and not time_ranking_allowed(found)
    with st.expander(title, icon=":material/balance:", expanded=withheld, key="confounds"):
        for confound in found:
            mark = ":orange[●]" if confound.certain else ":gray[●]"
            st.markdown(f"{mark} {plain(confound.words, 400)}. :gray[Spoils {_spoils(confound)}.]")
    if not by_time:
        if note := step_ranking_note(found):
            st.caption(plain(note))
        return True
    if not withheld:
        return True
    st.session_state["logs.confirmed"] = words <= state.browser.confirmed

    def confirmed() -> None:
        state.browser.confirmed = words if st.session_state["logs.confirmed"] else frozenset()

    return st.checkbox(
        "I know that they differ: rank them by time anyway",
        key="logs.confirmed",
        on_change=confirmed,
        help="Until you confirm, times to the target and speed-ups are withheld. The confirmation covers the "
        "differences listed above; a new one is asked about again.",
    )


def _things(count: int) -> str:
    return f"{count} thing{'s' if count != 1 else ''}"


def _spoils(confound: Confound) -> str:
    return {"time": "comparison by time", "step": "comparison by step", "both": "every comparison"}[confound.spoils]
