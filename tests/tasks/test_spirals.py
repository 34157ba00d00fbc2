"""Spirals: separate points, and a picture whose rows and columns are where they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tasks.small import small


@pytest.mark.parametrize("arms", [2, 3, 5])
def test_held_out_points_are_others(arms: int) -> None:
    task = small("spirals", arms=arms, batch_size=1000)
    kept = {tuple(point) for point in task.held_out(1)[0].tolist()}
    drawn = {tuple(point) for step in range(1, 9) for point in task.batch(step)[0].tolist()}
    assert len(kept) == 1000 and len(drawn) > 990
    assert not kept & drawn
    assert set(task.batch(1)[1].tolist()) == set(range(arms))


def test_without_noise_points_lie_on_their_arm() -> None:
    points, labels = small("spirals", arms=3, turns=1.5, noise=0.0).held_out(1)
    points, labels = points.double().numpy(), labels.numpy()
    along = np.hypot(*points.T) / 2
    angle = 2 * np.pi * (1.5 * along + labels / 3)
    assert np.abs(points - 2 * along[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)).max() < 1e-5


def test_the_picture_agrees_with_the_model() -> None:
    task = small("spirals", arms=3, shift_at=4)
    model = task.model()
    picture = task.picture(model, 1)
    assert np.allclose(picture["probability"].sum(0), 1, atol=1e-6)
    row, column = 7, 50
    point = torch.tensor([[picture["x"][column], picture["y"][row]]])
    expected = model(point).softmax(-1)[0].detach().numpy()
    assert np.allclose(picture["probability"][:, row, column], expected, atol=1e-6)
    burst = task.picture(model, 4)
    assert np.array_equal(burst["points"], picture["points"][:, ::-1])
    assert np.array_equal(burst["held_out_points"], picture["held_out_points"][:, ::-1])
    assert np.array_equal(burst["labels"], picture["labels"])
