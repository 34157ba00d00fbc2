"""Who may open the feed, and which addresses there are."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
from streamlit import config
from websockets.exceptions import InvalidStatus

from foam_viz.ui.feed.guard import refusal
from tests.ui.feed.client import Client, Served


@pytest.fixture
def option() -> Iterator[object]:
    changed: dict[str, object] = {}

    def change(name: str, value: object) -> None:
        changed.setdefault(name, config.get_option(name))
        config.set_option(name, value)

    yield change
    for name, value in changed.items():
        config.set_option(name, value)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8501", None), ("127.0.0.1:8501", "http://127.0.0.1:8501"), ("[::1]:8501", "http://[::1]:8501"),
        ("LOCALHOST:8501", "http://localhost:8501"), ("192.168.1.5:8501", "http://192.168.1.5:8501"),
        ("localhost:8501", "http://127.0.0.1:3000"), ("localhost", "https://localhost"),
    ],
)  # fmt: skip
def test_pages_of_this_server_and_programs_may(host: str, origin: str | None) -> None:
    assert refusal(host, origin) == ""


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", None), ("evil.example", "http://evil.example"), ("evil.example:8501", "http://localhost:8501"),
        ("localhost.evil.example", None), ("127.0.0.1.evil.example", None), ("user@localhost", None), (None, None),
        ("", None), ("localhost/evil", None), ("localhost:port", None), ("localhost:99999", None), ("[::1", None),
        ("localhost:8501", "http://evil.example"), ("localhost:8501", "null"), ("localhost:8501", ""),
        ("localhost:8501", "http://localhost.evil.example:8501"), ("localhost:8501", "http://evil.example#@localhost:8501"),
        ("localhost:8501", "http://localhost:8501@evil.example"), ("192.168.1.5:8501", "http://192.168.1.6:8501"),
        ("localhost:8501", "file://"), ("localhost:8501", "http://[::1"),
    ],
)  # fmt: skip
def test_a_foreign_host_or_origin_may_not(host: str | None, origin: str | None) -> None:
    assert refusal(host, origin)
    assert "evil" not in refusal(host, origin)


def test_the_settings_of_streamlit_hold(option) -> None:
    option("server.allowedHosts", ["Lab.example.", "*.class.example"])
    assert not refusal("lab.example:80", None) and not refusal("a.class.example", "https://a.class.example")
    assert refusal("localhost:8501", None) and refusal("class.example", None) and refusal("evil.example", None)
    option("server.allowedHosts", ["*"])
    assert not refusal("any.example", None) and refusal("any.example", "http://evil.example")
    option("server.allowedHosts", [])
    option("server.corsAllowedOrigins", ["https://portal.example"])
    assert not refusal("localhost", "https://portal.example") and refusal("localhost", "https://evil.example")
    option("server.enableCORS", False)
    assert not refusal("localhost", "https://evil.example") and refusal("evil.example", "https://evil.example")


def get(served: Served, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def test_every_address_of_ours_is_guarded_and_none_is_the_page(served: Served) -> None:
    for path, status in (("/feed", 426), ("/feed/", 404), ("/feed/none", 404), ("/feed/../feed/x", 404)):
        answer = get(served, path)
        assert (answer.status, answer.headers["Cache-Control"]) == (status, "no-store"), path
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            answer = get(served, path, **headers)
            assert (answer.status, answer.headers["Cache-Control"]) == (403, "no-store"), path
    assert get(served, "/feeds").status == 200


@pytest.mark.parametrize(
    ("host", "path", "origin", "status"),
    [
        ("localhost", "/feed", "http://evil.example", 403),
        ("evil.example", "/feed", None, 403),
        ("evil.example", "/feed", "http://evil.example", 403),
        ("localhost", "/feed/none", "http://evil.example", 403),
        ("localhost", "/feed/none", None, 404),
    ],
)
def test_a_foreign_socket_is_never_opened(
    served: Served, host: str, path: str, origin: str | None, status: int
) -> None:
    with (
        socket.create_connection(("127.0.0.1", served.port)) as connection,
        pytest.raises(InvalidStatus) as refused,
    ):
        Client(f"ws://{host}:{served.port}{path}", origin=origin, sock=connection)
    assert refused.value.response.status_code == status


def test_the_base_path_is_part_of_the_address(served: Served, option) -> None:
    option("server.baseUrlPath", "/class/a/")
    one = Client(f"ws://127.0.0.1:{served.port}/class/a/feed")
    one.ask("set:none")
    assert "problem" in one.see()
    one.close()
    assert get(served, "/feed").status == 200, "that of another app"
    assert get(served, "/class/a/feed/none").status == 404
