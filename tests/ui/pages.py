"""The page of the lab as Streamlit runs it, without a browser: opened, pressed, waited for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.engine.conftest import until

ROOT = Path(__file__).resolve().parents[2]


def visited(page: str, query: Mapping[str, str | list[str]]) -> AppTest:
    """A page, by the name of its file, as a link opens it."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


def lab(**query: str | list[str]) -> AppTest:
    return visited("live_lab", query)


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def state(app: AppTest):
    return app.session_state["session"].lab


def next_run(app: AppTest) -> None:
    """Opens the tab of the next run's settings."""
    app.session_state["whose-settings"] = "Next run"
    app.run()
    assert not app.exception


def opened(app: AppTest, box: str) -> AppTest:
    """Opens a popover or an expander: what is in it is drawn from then on."""
    app.session_state[box] = True
    app.run()
    assert not app.exception
    return app


def settle(app: AppTest) -> None:
    """Waits until the engine has answered the last click and reached its goal, then draws the page again."""
    run = state(app).run()
    run.wait(30)
    until(lambda: not run.header.get("goal"))
    app.run()


def stepped(**query: str | list[str]) -> AppTest:
    app = press(lab(v="2", batch_size="16", **query), "do-step")
    settle(app)
    assert state(app).run().step == 1
    return app
