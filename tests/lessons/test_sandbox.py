"""The sandbox against the optimizers' own functions, and against gradients that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from foam_viz.lessons import sandbox
from foam_viz.optim import linalg
from foam_viz.optim.fields import FieldError

SETTINGS = [
    {"change": "turn-top"},
    {"change": "turn-bottom", "amount": 10.0, "rows": 16, "root": 4},
    {"change": "swap-bottom", "apart": 3, "epsilon": 1e-7},
    {"change": "scale", "amount": 4.0, "smallest": 1e-3},
    {"change": "add-mass", "amount": 1e-2, "smallest": 1e-9},
    {"change": "none"},
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_readings_are_those_of_the_optimizers(setting: dict) -> None:
    full, _ = sandbox.review(setting)
    found = sandbox.read(setting)
    stale = torch.from_numpy(found.stale_spectrum.copy())
    current = torch.from_numpy(sandbox.changed_factor(setting))
    basis = torch.eye(len(stale), dtype=torch.float64)
    epsilon, root = full["epsilon"], full["root"]
    h = linalg.proxy(current.clone(), stale, epsilon, root).h
    assert found.h == pytest.approx(float(h), rel=1e-9, abs=1e-12)
    assert found.residual == pytest.approx(float(linalg.diagonalization_residual(current)), rel=1e-9, abs=1e-12)
    values, vectors = torch.linalg.eigh(current)
    error = linalg.operator_error(basis, stale, vectors, values.clamp_min(0), epsilon, root)
    assert found.operator_error == pytest.approx(float(error), rel=1e-6, abs=1e-9)
    assert found.next_epsilon == max(epsilon, epsilon * found.h / full["tau"])


def test_the_update_error_is_that_of_gradients_drawn_from_the_factor() -> None:
    setting = {"change": "turn-bottom", "rows": 16, "smallest": 1e-3, "epsilon": 1e-6}
    found = sandbox.read(setting)
    current = sandbox.changed_factor(setting)
    values, basis = np.linalg.eigh(current)
    gradients = basis * np.sqrt(values) @ np.random.default_rng(0).standard_normal((16, 200_000))
    fresh = (basis * (values + 1e-6) ** -0.5) @ basis.T @ gradients
    stale = np.diag((found.stale_spectrum + 1e-6) ** -0.5) @ gradients
    assert found.update_error == pytest.approx(np.linalg.norm(stale - fresh) / np.linalg.norm(fresh), rel=0.01)
    cosine = (stale * fresh).sum() / (np.linalg.norm(stale) * np.linalg.norm(fresh))
    assert found.cosine == pytest.approx(cosine, abs=0.01)


def test_nothing_changed_is_no_error() -> None:
    found = sandbox.read({"change": "none"})
    assert found.h == found.residual == 0 and found.update_error < 1e-6 and found.cosine == pytest.approx(1)


@pytest.mark.parametrize("change", sandbox.CHANGES)
@pytest.mark.parametrize("amount", [0.0, 1e-12, 45.0, 1e6])
@pytest.mark.parametrize("smallest", [1.0, 1e-12])
def test_every_setting_gives_finite_readings(change: str, amount: float, smallest: float) -> None:
    found = sandbox.read({"change": change, "amount": amount, "smallest": smallest, "rows": 8})
    assert all(math.isfinite(value) for value in found[:7])


def test_what_lessons_suggest_to_try_happens() -> None:
    mass = {"change": "add-mass", "amount": 1e-3, "smallest": 1e-12}
    assert sandbox.read({**mass, "rows": 256}).next_epsilon == pytest.approx(
        sandbox.read(mass).next_epsilon / 2, rel=0.02
    )
    none_empty = sandbox.read({**mass, "smallest": 1e-3})
    assert none_empty.h < 0.75 and none_empty.next_epsilon == 1e-9
    assert sandbox.read({**mass, "tau": 0.9}).next_epsilon < sandbox.read(mass).next_epsilon
    close = sandbox.read({"change": "turn-bottom", "apart": 1})
    assert max(close.h, close.residual, close.operator_error, close.update_error) < 0.05
    swapped = sandbox.read({"change": "swap-bottom"})
    assert swapped.residual == 0 and swapped.operator_error > 0.3
    steep = sandbox.read({"change": "scale", "amount": 0.01, "smallest": 1e-6})
    assert steep.h > 0.75 > 0.5 > sandbox.read({"change": "scale", "amount": 0.01, "smallest": 1.0}).h


def test_what_is_out_of_range_is_named() -> None:
    with pytest.raises(FieldError, match=r"rows = 1000: must be an integer from 4 to 256"):
        sandbox.read({"rows": 1000})
