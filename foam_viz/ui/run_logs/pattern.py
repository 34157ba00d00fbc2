"""An editable grammar for the records of text logs, with a live preview of what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from foam_viz.logs.formats.block_catalogue import BLOCKS
from foam_viz.logs.parsing.blocks import LANDS, Block, parse
from foam_viz.logs.parsing.patterns import PatternError
from foam_viz.trace import Trace
from foam_viz.ui.run_logs.reading import preview
from foam_viz.ui.server import hub
from foam_viz.ui.session.logs import Logs
from foam_viz.ui.session.open_logs import Source
from foam_viz.ui.text import plain

EXAMPLE = r"step (?P<step>\d+): loss (?P<loss>[-\d.eE]+)"
_SHOWN = 20
_TEXT_LOG = "key-value"
_PARTS = ("opens", "inside", "closes", "lands", "columns")
_MOST_CHARACTERS = 1000


def _examples() -> dict[str, Block]:
    """Styles that the reader knows and whose expressions a user may change: those that RE2 compiles."""
    found = {"line with a step": Block(opens=EXAMPLE, rest=False)}
    for block in BLOCKS:
        try:
            found.setdefault(block.name, parse(str(block)))
        except PatternError:
            continue
    return found


def concerned(source: Source) -> bool:
    """Whether a pattern may help: something was not recognised, or text logs were read."""
    reading = source.reading
    return reading is not None and bool(
        reading.problems or source.pattern or any(trace.manifest.format == _TEXT_LOG for trace in reading.traces)
    )


def patterns(state: Logs) -> None:
    """The editor of each source that has, or may have, text logs."""
    for source in state.sources:
        if concerned(source):
            title = f"Text logs of {plain(source.label, 60)}: the pattern of their records"
            with st.expander(title, icon=":material/regular_expression:", key=f"pattern-{source.id}"):
                _editor(state, source)


def _key(source: Source, part: str) -> str:
    return f"logs.pattern.{source.id}" if part == "opens" else f"logs.pattern.{part}.{source.id}"


def _fill(source: Source, block: Block) -> None:
    for part in _PARTS:
        st.session_state[_key(source, part)] = getattr(block, part)


def _take_example(source: Source) -> None:
    chosen = st.session_state[f"logs.pattern.example.{source.id}"]
    if chosen is not None:
        _fill(source, _examples()[chosen])


def _editor(state: Logs, source: Source) -> None:
    st.caption(
        "Regular expressions with a named group for each value, one of them the step; looking ahead and references "
        "back are not supported. Empty: the styles below and lines such as step=10 loss=2.3 are found as they are."
    )
    if _key(source, "opens") not in st.session_state:
        _fill(source, parse(source.pattern) if source.pattern else Block())
    st.selectbox(
        "Start from a style",
        list(_examples()),
        index=None,
        key=f"logs.pattern.example.{source.id}",
        on_change=_take_example,
        args=(source,),
        placeholder="A style to change",
    )
    st.text_input(
        "A record opens with",
        key=_key(source, "opens"),
        placeholder=EXAMPLE,
        max_chars=_MOST_CHARACTERS,
        help="A line that matches is a record, or the first line of one.",
    )
    inside, closes = st.columns(2)
    inside.text_input(
        "Further lines of the record",
        key=_key(source, "inside"),
        placeholder=r"^\s+(?P<name>\w+)=(?P<value>\S+)",
        max_chars=_MOST_CHARACTERS,
        help="Lines that belong to the record above them. The groups name and value are a pair, as often as they "
        "occur. Empty: a record is one line.",
    )
    closes.text_input(
        "A record ends with",
        key=_key(source, "closes"),
        placeholder="^-----",
        max_chars=_MOST_CHARACTERS,
        help="Empty: a record ends where another opens, or at a line that does not belong to it.",
    )
    st.selectbox(
        "Values without a step land",
        list(LANDS),
        format_func=lambda lands: LANDS[lands],
        key=_key(source, "lands"),
    )
    st.checkbox("The opening line names the columns of a table below it", key=_key(source, "columns"))
    try:
        pattern = _written(source)
    except PatternError as error:
        st.error(plain(error))
        return
    st.button(
        "Apply",
        key=f"apply-{source.id}",
        disabled=pattern == source.pattern,
        on_click=_apply,
        args=(state, source, pattern),
    )
    if pattern and pattern != source.pattern:
        _preview(source, pattern)


def _written(source: Source) -> str:
    """Return what was typed as one text, the expression alone where a record is one line.

    Raises:
        PatternError: An expression cannot be compiled.
    """
    values = {part: st.session_state[_key(source, part)] for part in _PARTS}
    if not values["opens"].strip() and not values["inside"].strip():
        return ""
    block = Block(**values)
    alone = not (block.inside or block.closes or block.columns or block.lands != "own")
    text = block.opens if alone else str(block)
    parse(text)
    return text


def _preview(source: Source, pattern: str) -> None:
    """What the pattern takes, kept until another is typed or the files change."""
    key = f"logs.previewed.{source.id}"
    known = st.session_state.get(key)
    if known is None or known[0] != (pattern, id(source.reading)):
        with st.spinner("Reading with this pattern", show_time=True):
            known = ((pattern, id(source.reading)), preview(source.paths, pattern, hub().settings))
        st.session_state[key] = known
    traces, problems = known[1]
    for trace in traces[:3]:
        st.markdown(f"**{plain(trace.manifest.name)}** " + " ".join(plain(note) for note in trace.manifest.notes[:2]))
        matches = trace.manifest.extra.get("matches")
        if isinstance(matches, Sequence):
            st.markdown("  \n".join(_highlighted(match) for match in matches[:_SHOWN] if isinstance(match, Mapping)))
        st.dataframe(_first_rows(trace), hide_index=True, alt="The first rows that the pattern takes")
    if not traces:
        st.warning("The pattern matches no line of any text log.")
    for problem in problems[:5]:
        st.markdown(f":gray[{plain(problem, 400)}]")


def _highlighted(match: Mapping[str, object]) -> str:
    """A line with the values that were found in it set off, and its number before it."""
    text, parts, end = str(match["text"]), [], 0
    for start, stop in sorted(match["spans"]):  # type: ignore[call-overload]
        if start >= end and stop > start:
            parts += [plain(text[end:start]), f":orange-background[{plain(text[start:stop])}]"]
            end = stop
    return f":gray[{match['line']:,}] " + "".join([*parts, plain(text[end:])])


def _first_rows(trace: Trace) -> dict[str, list]:
    table = trace.steps.slice(0, _SHOWN)
    return {name: table[name].to_pylist() for name in table.column_names if trace.has("steps", name)}


def _apply(state: Logs, source: Source, pattern: str) -> None:
    source.pattern = pattern
    state.open.read(source)
