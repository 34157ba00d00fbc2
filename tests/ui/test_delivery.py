"""The board's files come packed and for good, and the page tells the browser of them at once."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from streamlit import config

from foam_viz.files import STATIC
from foam_viz.ui.board import assets, delivery


class Client:
    """A browser, as far as it asks for files."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, *, packs: bool = True) -> tuple[bytes, dict[str, str]]:
        status, content, headers = self.ask(path, {"Accept-Encoding": "gzip" if packs else "identity"})
        assert status == 200
        return content, headers

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        asking = HTTPConnection("127.0.0.1", self._port, timeout=20)
        asking.request("GET", path, headers=headers)
        answer = asking.getresponse()
        content, told = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        asking.close()
        return answer.status, content, told


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    routes = [
        delivery.AssetsRoute(),
        Route("/app/static/{path:path}", lambda request: PlainTextResponse("Streamlit's")),
        Route("/foam/app/static/{path:path}", lambda request: PlainTextResponse("Streamlit's")),
        Route("/{path:path}", lambda request: HTMLResponse("a page")),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(delivery.Preload)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield Client(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def base() -> Iterator[None]:
    config.set_option("server.baseUrlPath", "foam")
    yield
    config.set_option("server.baseUrlPath", "")


def test_every_file_comes_as_it_is_packed_and_is_kept_for_good(client: Client) -> None:
    for name in delivery.names(assets.published()):
        content = (STATIC / name).read_bytes()
        packed, told = client.get(f"/app/static/{name}")
        assert told["content-encoding"] == "gzip" and gzip.decompress(packed) == content
        assert "immutable" in told["cache-control"] and told["vary"] == "Accept-Encoding"
        kind = "text/css" if name.endswith(".css") else ("text/javascript", "application/javascript")
        assert told["content-type"].startswith(kind)
        plain, told = client.get(f"/app/static/{name}", packs=False)
        assert plain == content and told["content-encoding"] == "identity"


def test_a_file_is_packed_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery.warm()
    monkeypatch.setattr(gzip, "compress", lambda *_, **__: pytest.fail("packed again"))
    client.get(f"/app/static/{delivery.names(assets.published())[0]}")


def test_other_files_are_left_to_streamlit(client: Client) -> None:
    folder = Path(assets.published().board).name
    for name in ("nothing.js", f"{folder}/../../app.py", f"{folder}/nothing.js", "", "board-000000000000/board.js"):
        assert "immutable" not in client.get(f"/app/static/{name}")[1].get("cache-control", "")


@pytest.mark.parametrize("page", ["", "live-lab", "lessons", "lessons?lesson=how-stale", "run-logs", "threshold-lab"])
def test_a_page_with_a_board_names_what_it_will_load(client: Client, page: str) -> None:
    told = client.get(f"/{page}")[1]["link"]
    assert told.startswith("<app/static/plotly") and "rel=preload; as=script" in told
    for name in delivery.names(assets.published()):
        assert f"<app/static/{name}>" in told


def test_other_pages_and_other_answers_name_nothing(client: Client) -> None:
    for path in (
        "/glossary",
        "/paper-figures",
        "/app/static/x",
        f"/app/static/{delivery.names(assets.published())[0]}",
    ):
        assert "link" not in client.get(path)[1]


def test_below_a_base_path(client: Client, base: None) -> None:
    name = delivery.names(assets.published())[0]
    assert "immutable" in client.get(f"/foam/app/static/{name}")[1]["cache-control"]
    assert "cache-control" not in client.get(f"/app/static/{name}")[1]
    assert "link" in client.get("/foam/")[1] and "link" in client.get("/foam/live-lab")[1]
    assert "link" not in client.get("/live-lab")[1]


@pytest.mark.parametrize("foreign", [{"Host": "elsewhere.example"}, {"Origin": "https://elsewhere.example"}])
def test_a_foreign_host_or_origin_is_refused(client: Client, foreign: dict[str, str]) -> None:
    name = delivery.names(assets.published())[0]
    status, content, _ = client.ask(f"/app/static/{name}", foreign)
    assert status == 403 and b"names another" in content
