"""Callbacks of widgets are carried out whole, whatever the browser asks for meanwhile.

Streamlit ends what it does for a page as soon as the page asks for something newer. It looks for that at every ``st.``
command and at every use of ``st.session_state``, in callbacks too and once before them. A press was lost there when the
board said something in the moment after it: the newer request no longer tells of the press. While callbacks run, a
newer request waits here; Streamlit takes it up right after them.

This holds with ``runner.fastReruns`` off (``.streamlit/config.toml``). With it a newer request gets a thread of its own
at once, which draws the page while the press before it is still being carried out: as if nobody had pressed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from streamlit.runtime.state.safe_session_state import SafeSessionState

_MARK = "carries_out_whole"


def carry_out_whole() -> None:
    """Let no request of a browser end the callbacks of the one before; whoever calls it again changes nothing."""
    interruptible = SafeSessionState.on_script_will_rerun
    if hasattr(interruptible, _MARK):
        return

    @functools.wraps(interruptible)
    def whole(state: SafeSessionState, *args: Any, **named: Any) -> None:
        context = get_script_run_ctx()
        if context is None or context.script_requests is None:
            interruptible(state, *args, **named)
            return
        with _waiting(context.script_requests):
            interruptible(state, *args, **named)

    setattr(whole, _MARK, True)
    SafeSessionState.on_script_will_rerun = whole  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def _waiting(requests: ScriptRequests) -> Iterator[None]:
    """Let requests be made and not be taken up."""
    requests.on_scriptrunner_yield = _nothing  # of this object alone: one run of a script has it
    try:
        yield
    finally:
        del requests.on_scriptrunner_yield


def _nothing() -> None:
    """No request is to be taken up."""
