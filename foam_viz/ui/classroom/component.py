"""The part of a page that is connected to the class; see ``board_assets/class.js``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from foam_viz.ui.board import assets

KEYS = ("next", "back", "predictions", "code", "runs", "close")
"""What a presenter's keys stand for."""


def connection(key: str, data: Mapping[str, Any], on_press: Callable[[str], None] | None = None) -> None:
    """Connect the page to its class, or tell the connection that the page shows something else.

    Args:
        key: Stable key of the component.
        data: What the script is told: ``role``, ``class``, ``key`` or ``student``, ``scene``, ``watches``.
        on_press: Called with one of :data:`KEYS` when the presenter presses the key for it.
    """

    def press() -> None:
        value = st.session_state[key].get("press")
        name = value.get("name") if isinstance(value, dict) else None
        if on_press and name in KEYS:
            on_press(name)

    _component(assets.published())(
        key=key,
        data=dict(data),
        on_press_change=press,
        on_news_change=lambda: None,  # that the page runs again is all
    )


@lru_cache(maxsize=1)
def _component(published: assets.Published) -> Callable[..., Any]:
    """The component. Its inline script only loads the real one, because inline scripts travel with every update."""
    loader = f"""const connection = import(new URL("{published.board}/class.js", document.baseURI).href);
export default async c => (await connection).default(c);
"""
    return component("foam_viz.classroom", html='<div class="foam-class"></div>', js=loader, isolate_styles=False)
