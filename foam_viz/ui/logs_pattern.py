"""An editable pattern for text logs, with a preview of what it takes."""

from __future__ import annotations

import streamlit as st

from foam_viz.trace import Trace
from foam_viz.ui.logs_reading import preview
from foam_viz.ui.logs_state import LogsState, Source
from foam_viz.ui.server import hub
from foam_viz.ui.text import plain

EXAMPLE = r"step (?P<step>\d+): loss (?P<loss>[-\d.eE]+)"
_SHOWN = 20
_TEXT_LOG = "key-value"


def concerned(source: Source) -> bool:
    """Whether a pattern may help: something was not recognised, or text logs were read."""
    reading = source.reading
    return reading is not None and bool(
        reading.problems or source.pattern or any(trace.manifest.format == _TEXT_LOG for trace in reading.traces)
    )


def patterns(state: LogsState) -> None:
    """The editor of each source that has, or may have, text logs."""
    for source in state.sources:
        if concerned(source):
            title = f"Text logs of {plain(source.label, 60)}: the pattern of their lines"
            with st.expander(title, icon=":material/regular_expression:", key=f"pattern-{source.id}"):
                _editor(state, source)


def _editor(state: LogsState, source: Source) -> None:
    st.caption(
        "A regular expression with a named group for each value, one of them the step; looking ahead and references "
        "back are not supported. Empty: lines such as step=10 loss=2.3 are found as they are."
    )
    key = f"logs.pattern.{source.id}"
    if key not in st.session_state:
        st.session_state[key] = source.pattern
    pattern = st.text_input("Pattern", key=key, placeholder=EXAMPLE, max_chars=1000, label_visibility="collapsed")
    with st.container(horizontal=True):
        look = st.button("Preview", key=f"preview-{source.id}", disabled=not pattern, icon=":material/visibility:")
        st.button(
            "Apply",
            key=f"apply-{source.id}",
            disabled=pattern == source.pattern,
            on_click=_apply,
            args=(state, source, pattern),
        )
    if not look:
        return
    with st.spinner("Reading with this pattern", show_time=True):
        traces, problems = preview(source.paths, pattern, hub().settings)
    for trace in traces[:3]:
        st.markdown(f"**{plain(trace.manifest.name)}** " + " ".join(plain(note) for note in trace.manifest.notes[:2]))
        st.dataframe(_first_rows(trace), hide_index=True, alt="The first rows that the pattern takes")
    if not traces:
        st.warning("No line of any text log is taken.")
    for problem in problems[:5]:
        st.markdown(f":gray[{plain(problem, 400)}]")


def _first_rows(trace: Trace) -> dict[str, list]:
    table = trace.steps.slice(0, _SHOWN)
    return {name: table[name].to_pylist() for name in table.column_names if trace.has("steps", name)}


def _apply(state: LogsState, source: Source, pattern: str) -> None:
    source.pattern = pattern
    state.read(source)
