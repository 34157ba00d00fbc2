"""Whole tables as CSV: every row, under names that a reader knows, and to nobody else."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass

import orjson
import pytest
from starlette.routing import Match

from foam_viz.figures.scene import Lane
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.feed.sources import Sources
from foam_viz.ui.feed.tables import TABLES, TablesRoute, written
from tests.synthetic import SyntheticRun


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def lanes() -> list[Lane]:
    runs = [SyntheticRun(kind, seed=i).advance(300) for i, kind in enumerate(("foam", "adamw"))]
    return [Lane(run.trace, label, i) for i, (run, label) in enumerate(zip(runs, ("=FOAM, one", "AdamW"), strict=True))]


@dataclass
class Answer:
    """What came back."""

    status_code: int
    headers: dict[str, str]
    text: str


class Client:
    """Asks the route as a server would."""

    def post(
        self, path: str, json: object = None, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> Answer:
        sent: list[dict] = []
        body = [orjson.dumps(json)]
        told = {"host": "localhost", **{name.lower(): value for name, value in (headers or {}).items()}}
        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "root_path": "", "http_version": "1.1",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        }  # fmt: skip

        async def receive() -> dict:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            sent.append(message)

        route = TablesRoute(sources)
        assert route.matches(scope)[0] is Match.FULL
        asyncio.run(route.handle(scope, receive, send))
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]).decode())

    def get(self, path: str) -> Answer:
        return self.post(path, method="GET")


@pytest.fixture
def client() -> Client:
    return Client()


sources = Sources(lambda: pytest.fail("no hub is asked"))


def test_every_row_of_every_run_is_there(lanes: list[Lane]) -> None:
    for table in TABLES:
        rows = _rows(b"".join(written(lanes, table)).decode())
        assert len(rows) == sum(lane.trace.rows(table) for lane in lanes)
    rows = _rows(b"".join(written(lanes, "steps")).decode())
    assert [float(row["loss"]) for row in rows[:300]] == lanes[0].trace.values("steps", "loss").tolist()
    assert rows[0]["run"] == "'=FOAM, one" and rows[-1]["run"] == "AdamW", "no spreadsheet runs a name"
    checks = _rows(b"".join(written(lanes, "checks")).decode())
    assert (checks[0]["factor"], checks[0]["factor_name"], checks[0]["decision"]) == ("0", "layer 1 left", "first")
    spectra = _rows(b"".join(written(lanes, "snapshots")).decode())
    assert len(spectra[0]["eigenvalues"].split()) == 128 and "overlap" not in spectra[0]


def test_a_source_is_asked_by_its_id_and_up_to_a_step(lanes: list[Lane], client: Client) -> None:
    source = sources.register("me", lambda name: RecordedSource(name, lanes))
    answer = client.post("/tables", json={"source": source, "table": "steps", "at": 100})
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert len(_rows(answer.text)) == 200
    assert client.post("/tables", json={"source": source, "table": "steps"}).text.count("\n") == 601
    sources.forget_all("me")
    assert client.post("/tables", json={"source": source, "table": "steps"}).status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"source": "../x", "table": "steps"},
        {"source": "sample:x", "table": "manifest"},
        {"source": "sample:x", "table": ["steps"]},
        {"source": "sample:x", "table": "steps", "at": -1},
        {"source": "sample:x", "table": "steps", "at": True},
        {"source": "sample:x", "table": "steps", "more": 1},
        [],
        "x" * 3000,
    ],
)
def test_what_is_no_request_is_refused_in_a_sentence(asked: object, client: Client) -> None:
    answer = client.post("/tables", json=asked)
    assert answer.status_code == 400 and answer.text.endswith(".\n") and "../x" not in answer.text


def test_foreign_pages_and_names_are_refused(client: Client) -> None:
    asked = {"source": "sample:x", "table": "steps"}
    assert client.post("/tables", json=asked, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert client.post("/tables", json=asked, headers={"Host": "elsewhere.example"}).status_code == 403
    assert client.get("/tables").status_code == 405
    assert client.post("/tables/more", json=asked).status_code == 404
