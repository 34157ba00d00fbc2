"""What every page has at its top: the secret by which the browser is known, and the button that copies the link."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import streamlit as st
from streamlit.components.v2 import component
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import user_key_from_element_id

from foam_viz.ui import session
from foam_viz.ui.board import assets

_KEY = "page-tools"


def page_tools(page: str) -> None:
    """Draw the tools of a page, before the page: so that its first drawing, of a browser not yet known, is short.

    Args:
        page: Path of its address.
    """
    here = session.begin(page)

    def told() -> None:
        value = st.session_state[_KEY].get("browser")
        here.recognise(value.get("secret") if isinstance(value, dict) else None)
        _tell_again()

    with st.container(key="page-tools-place"):
        _component(assets.published())(
            key=_KEY, data={"secret": None if here.known else here.secret, "page": page}, on_browser_change=told
        )


def _tell_again() -> None:
    """Give every widget its value once more.

    The page is drawn again so soon that the browser may not have the first drawing yet. It would miss the values that
    widgets were given by the link then, and send empty ones at the next click.
    """
    pressed = _pressed()
    for key, value in st.session_state.items():
        texts = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
        if texts or (isinstance(value, str | int | float) and value is not False and key not in pressed):
            st.session_state[key] = value  # buttons are False, uploads empty


def _pressed() -> set[str | None]:
    """Keys of the buttons whose press is answered now: Streamlit takes no value for them.

    A press so early that it comes together with the secret has been seen on a slow machine.
    """
    context = get_script_run_ctx()
    states = context.session_state.get_widget_states() if context else []
    return {user_key_from_element_id(state.id) for state in states if state.WhichOneof("value") == "trigger_value"}


@lru_cache(maxsize=1)
def _component(published: assets.Published) -> Callable[..., Any]:
    """The component. Its inline script only loads the real one, because inline scripts travel with every update."""
    loader = f"""const tools = import(new URL("{published.board}/page_tools.js", document.baseURI).href);
export default async c => (await tools).default(c);
"""
    return component("foam_viz.page_tools", html='<div class="foam-page-tools"></div>', js=loader, isolate_styles=False)
