"""A short run of the fuzzer; the long one is ``python -m tests.logs.fuzzer``."""

from __future__ import annotations

import random
import sys

import pytest

from tests.logs import fuzzer


@pytest.mark.skipif(sys.platform == "win32", reason="measures memory with the resource module")
def test_broken_logs_neither_crash_nor_take_long() -> None:
    results = list(fuzzer.run(list(range(300)), seed=1))
    assert len(results) == 300
    assert [result for result in results if result["bad"]] == []
    assert max(result["seconds"] for result in results) < fuzzer.SECONDS
    assert 0 < max(result["peak"] for result in results) < fuzzer.MEMORY


@pytest.mark.parametrize("mutate", fuzzer.MUTATIONS)
def test_mutations_change_something(mutate: fuzzer.Mutation) -> None:
    data = b"step,loss\n" + b"".join(b"%d,%f\n" % (i, 1 / (i + 1)) for i in range(50))
    assert any(mutate(random.Random(seed), bytearray(data)) != data for seed in range(5))
