"""Matrix factorization: the spectrum asked for, entries on one side only, a floor that is reached."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foam_viz.tasks.catalogue import TASKS
from tests.tasks.small import small


def test_the_target_has_the_rank_and_the_condition_asked_for() -> None:
    task = small("matrix-factorization", width=24, rank=4, condition=1000.0)
    values = torch.linalg.svdvals(task.target.double())
    assert float(values[0] / values[3]) == pytest.approx(1000, rel=1e-3)
    assert float(values[4]) < 1e-5
    assert float((task.target**2).mean()) == pytest.approx(1, rel=1e-5)


def test_no_entry_is_in_both_parts() -> None:
    task = small("matrix-factorization", width=16, batch_size=1000)
    kept = set(zip(*(part.tolist() for part in task.held_out(1)[:2]), strict=True))
    drawn = {
        pair for step in range(1, 9) for pair in zip(*(part.tolist() for part in task.batch(step)[:2]), strict=True)
    }
    assert not kept & drawn
    assert len(kept | drawn) == 16 * 16


@pytest.mark.parametrize("step", [1, 5])
def test_the_exact_factors_have_no_loss(step: int) -> None:
    task = small("matrix-factorization", width=20, rank=3, shift_at=5)
    target = task.target[:, task.permutation()] if step == 5 else task.target
    left, values, right = torch.linalg.svd(target)
    model = task.model()
    with torch.no_grad():
        model.left.copy_(left[:, :3] * values[:3])
        model.right.copy_(right[:3].T)
    assert task.loss_floor == 0
    assert float(task.held_out_loss(model, step)) < 1e-10
    assert task.loss(model, task.batch(step)).item() < 1e-10
    picture = task.picture(model, step)
    assert np.allclose(picture["learned"], picture["target"], rtol=1e-3)


def test_a_rank_above_the_width_is_refused() -> None:
    _, errors = TASKS["matrix-factorization"].review({"width": 16, "rank": 17})
    assert [str(error) for error in errors] == ["rank = 17: must be at most the width, which is 16"]
