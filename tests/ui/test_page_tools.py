"""What every page has at its top."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _page() -> None:
    import streamlit as st

    from foam_viz.ui.page_tools import _tell_again

    st.session_state.setdefault("on", True)
    st.button("Go", key="view.go", on_click=_tell_again)
    st.toggle("On", key="on")
    st.text_input("Name", key="name", value="a")
    st.caption(f"pressed {st.session_state['view.go']}, on {st.session_state['on']}")


def test_a_press_in_the_instant_in_which_the_browser_is_known_is_carried_out() -> None:
    app = AppTest.from_function(_page).run()
    app.button(key="view.go").click().run()
    assert not app.exception
    assert app.caption[0].value == "pressed True, on True"
