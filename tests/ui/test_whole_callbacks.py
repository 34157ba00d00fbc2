"""A press is carried out whole, though the browser asks for something else in the moment after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests
from streamlit.runtime.state.safe_session_state import SafeSessionState
from streamlit.testing.v1 import AppTest

from benchmarks.server import Server
from benchmarks.visitors import Page
from foam_viz.ui.whole_callbacks import carry_out_whole

carry_out_whole()


def page() -> None:
    import streamlit as st

    from tests.ui.test_whole_callbacks import ask

    def pressed() -> None:
        ask()
        st.session_state.setdefault("first", 0)  # where Streamlit looks for newer requests
        st.session_state["done"] = st.session_state.get("done", 0) + 1
        st.toast("done")

    st.button("Press", key="press", on_click=pressed)
    st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1


def ask() -> None:
    """Let the browser ask for something newer, which says nothing of the press."""
    context = get_script_run_ctx()
    assert context is not None and context.script_requests is not None
    context.script_requests.request_rerun(RerunData(query_string=context.query_string))


def test_a_newer_request_does_not_end_a_callback() -> None:
    app = AppTest.from_function(page).run()
    app.button(key="press").click().run()
    assert not app.exception
    assert app.session_state["done"] == 1
    assert app.session_state["drawn"] == 2  # once at first, and once for the newer request alone


def test_a_newer_request_that_comes_before_the_callbacks_does_not_swallow_the_press(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streamlit has taken up the press, and looks for newer requests before it calls anything."""
    app = AppTest.from_function(page).run()
    taken_up: Callable[..., Any] = ScriptRequests.on_scriptrunner_ready

    def and_another(requests: ScriptRequests) -> object:
        request = taken_up(requests)
        monkeypatch.undo()
        requests.request_rerun(RerunData())
        return request

    monkeypatch.setattr(ScriptRequests, "on_scriptrunner_ready", and_another)
    app.button(key="press").click().run()
    assert app.session_state["done"] == 1


def test_requests_are_taken_up_again_after_the_callbacks() -> None:
    app = AppTest.from_function(page).run()
    app.button(key="press").click().run()
    app.button(key="press").click().run()
    assert app.session_state["done"] == 2


def test_it_is_done_once() -> None:
    first = SafeSessionState.on_script_will_rerun
    carry_out_whole()
    assert SafeSessionState.on_script_will_rerun is first


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home"), FOAM_VIZ_ENGINES="1") as started:
        yield started


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20, 50, 100])
def test_a_page_that_asks_again_just_after_a_press_shows_what_the_press_did(server: Server, milliseconds: int) -> None:
    """As the board does, and the page itself when it learns whose browser it is in."""

    async def pressed() -> None:
        page = Page(server.url, "live-lab", "lane=adamw&batch_size=16")
        await page.open()
        press = asyncio.create_task(page.press("Start"))
        await asyncio.sleep(milliseconds / 1e3)
        await asyncio.gather(press, page.rerun())
        async with asyncio.timeout(20):
            while not page.view_id:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            while not page.can_press("Pause"):  # once the engine has answered; the board asks again then
                await page.rerun()
        await page.press("Pause")
        await page.close()
        assert not page.errors

    asyncio.run(pressed())
