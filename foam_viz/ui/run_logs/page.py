"""The page of logs, put together: what is open on the left, and one of three views of it."""

from __future__ import annotations

import streamlit as st

from foam_viz.ui.address import TABS
from foam_viz.ui.refusals import refusals
from foam_viz.ui.run_logs.cards import recognised
from foam_viz.ui.run_logs.compare import compare
from foam_viz.ui.run_logs.inspect import inspect
from foam_viz.ui.run_logs.sources import sidebar
from foam_viz.ui.server import hub
from foam_viz.ui.session import logs
from foam_viz.ui.session.logs import Logs
from foam_viz.ui.style import heading
from foam_viz.ui.text import plain

_VIEWS = {"runs": recognised, "inspect": inspect, "compare": compare}


def page() -> None:
    """Draws the page."""
    hub()
    heading("Run logs")
    session = logs()
    session.collect()
    session.look()
    sidebar(session)
    runs = session.runs()
    session.settle(runs)
    _messages(session)
    _tab(session)
    _VIEWS[session.view["tab"]](session, runs)
    session.write_address()


def _tab(session: Logs) -> None:
    # A page that runs again before the browser has taken over the choice is told that there is none.
    if st.session_state.get("logs.tab") is None:
        st.session_state["logs.tab"] = session.view["tab"]
    with st.container(key="logs-tabs"):
        session.view["tab"] = st.segmented_control(
            "View",
            list(TABS),
            key="logs.tab",
            format_func=lambda tab: TABS.get(tab, ""),
            required=True,
            label_visibility="collapsed",
        )


def _messages(session: Logs) -> None:
    refusals(session.rejected)
    if session.notice:
        st.warning(plain(session.notice, 600), icon=":material/info:")
