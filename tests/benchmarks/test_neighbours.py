"""FOAM's neighbours beside Shampoo: their learning rates, what is known, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks import floor_passes, neighbours
from benchmarks.budget_training import Cache, Trial
from benchmarks.equal_budget import PROBLEMS
from foam_viz.optim.catalogue import OPTIMIZERS


def pretend(trial: Trial) -> dict[str, Any]:
    """Loss is least at lr 5e-3 (SPlus at 0.05), and ages by 20 %; KL-Shampoo beats Shampoo at f = 100 alone."""
    settings = dict(trial.settings)
    best = 5e-2 if trial.optimizer == "splus" else 5e-3
    loss = 0.3 + abs(trial.rate - best)
    if settings["period"] == 100 and trial.optimizer != "kl-shampoo":
        loss *= 1.2
    return {"loss": loss + trial.seed / 1e6, "held_out": None, "after": None, "factors": 18, "decompositions": 100}


def test_every_neighbour_has_the_rate_that_is_best_for_it(tmp_path: Path) -> None:
    assert set(neighbours.METHODS) <= set(OPTIMIZERS)
    cache = Cache(tmp_path, {}, neighbours.KEPT, pretend)
    rows = {row.method: row for row in neighbours.find(PROBLEMS[0], cache, only_known=False)}
    assert list(rows) == ["shampoo", "soap", "kl-shampoo", "kl-soap", "splus"]
    assert [row.rate for row in rows.values()] == [5e-3, 5e-3, 5e-3, 5e-3, 5e-2]
    words = neighbours.text(PROBLEMS[0], list(rows.values()))
    assert "| shampoo | 0.005 | 0.300 (100) | 0.360 (100) | +20 % |  |  |" in words
    assert "| kl-shampoo | 0.005 | 0.300 (100) | 0.300 (100) | +0 % | no difference seen | better |" in words


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    assert neighbours.find(PROBLEMS[0], Cache(tmp_path, {}, neighbours.KEPT, pretend), only_known=True) == []


def test_shampoo_has_the_damping_of_the_digits_and_the_floor() -> None:
    settings = dict(neighbours.trial(PROBLEMS[0], "shampoo", 100, 5e-3, 20).settings)
    assert settings == {"period": 100, "epsilon": 3e-6, "eigenvalues": "floor"}
    assert dict(neighbours.trial(PROBLEMS[0], "splus", 100, 5e-2, 20).settings) == {"period": 100}


def test_both_ways_of_a_symmetric_product_give_its_upper_triangle() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((300, 7), (5, 9), (260, 1)):
        left = torch.randn(shape, generator=generator)
        results = []
        for way in (floor_passes._whole, floor_passes._triangles):
            out = torch.ones(shape[0], shape[0])
            way([(left, left.T, out)], 0.5)
            results.append(out.triu())
        torch.testing.assert_close(results[0], (0.5 + left @ left.T).triu(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)
