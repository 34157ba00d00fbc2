"""The comparison of a device with the CPU, tried where the device is the CPU under the code of a device."""

from __future__ import annotations

import pytest
import torch

from benchmarks.device import _traffic
from benchmarks.device_agreement import OPTIMIZERS, TOLERANCE, agree, device_path
from foam_viz.optim import gram, linalg


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_code_of_a_device_computes_what_that_of_the_cpu_does(name: str, dtype: torch.dtype) -> None:
    found = agree(name, "cpu", dtype)
    assert found.decisions_equal
    assert max(found.statistics, found.epsilon, found.inverse_root, found.update) <= TOLERANCE[dtype]
    assert (found.decompositions > 0) == (name not in ("FOAM, reuses", "FOAM, fresh eigenvalues"))


def test_a_wrong_inverse_root_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = linalg.inverse_root

    def wrong(basis: torch.Tensor, *others: object) -> torch.Tensor:
        return original(basis, *others).mul_(1.0 if gram.on_host(basis) else 1.001)  # in place, where it was written

    monkeypatch.setattr(linalg, "inverse_root", wrong)
    found = agree("Shampoo", "cpu", torch.float64)
    assert found.inverse_root > TOLERANCE[torch.float64]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_have_one_check_that_reads_once(name: str) -> None:
    with device_path():
        counted = _traffic(OPTIMIZERS[name], "cpu")
    assert [one.reads for one in counted if one.reads or one.solves] == [1]
