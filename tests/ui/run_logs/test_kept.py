"""Memory of parsed logs: a share for each visitor, and one for the server."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np

from foam_viz.logs.core.reader import Reading
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.ui.run_logs.kept import Kept


@dataclass(eq=False)
class Source:
    reading: Reading | None = None
    freed: str = ""


def source(rows: int = 1000) -> Source:
    trace = Trace.empty(Manifest(run_id="r", name="run"))
    trace.append("steps", record_batch("steps", {"step": np.arange(rows), "loss": np.ones(rows)}))
    return Source(Reading([trace], []))


SIZE = source().reading.traces[0].nbytes


def kept(visitor: float = 2.5, server: float = 4.5) -> Kept:
    return Kept(int(visitor * SIZE), int(server * SIZE))


def test_what_a_visitor_used_longest_ago_goes_first():
    memory, sources = kept(), [source() for _ in range(3)]
    memory.hold("a", sources[0])
    memory.hold("a", sources[1])
    memory.use("a", sources[0])
    memory.hold("a", sources[2])
    assert [one.reading is None for one in sources] == [False, True, False]
    assert "the logs you have open may take 0 MiB of memory" in sources[1].freed
    assert "Remove what you do not need, then read this again" in sources[1].freed
    assert memory.held("a") == memory.held() == 2 * SIZE


def test_the_server_has_a_limit_of_its_own():
    memory, sources = kept(), [source() for _ in range(5)]
    for place, one in enumerate(sources):
        memory.hold(f"visitor {place}", one)
    assert [one.reading is None for one in sources] == [True, False, False, False, False]
    assert "this server holds for all its visitors" in sources[0].freed


def test_a_second_reading_takes_the_place_of_the_first():
    memory, one = kept(), source()
    for _ in range(5):
        memory.hold("a", one)
    assert memory.held() == SIZE and not one.freed
    memory.forget(one)
    assert memory.held() == 0


def test_what_nobody_holds_any_more_does_not_count():
    memory = kept()
    memory.hold("a", source())
    gc.collect()
    assert memory.held() == 0
