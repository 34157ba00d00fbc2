"""The rotating quadratic: its optimum, its factors, its exact loss, its picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foam_viz.tasks.rotating_quadratic import TRAIL
from tests.tasks.small import small


def _at(task, step: int):
    model = task.model()
    with torch.no_grad():
        model.weight.copy_(task.optimum(step))
    return model


@pytest.mark.parametrize("shift_at", [0, 3])
@pytest.mark.parametrize("step", [1, 3, 50])
def test_the_held_out_loss_is_the_expectation(step: int, shift_at: int) -> None:
    task = small("rotating-quadratic", width=5, batch_size=1400, shift_at=shift_at)
    task.batch_size = 200_000
    at_optimum = _at(task, step)
    assert float(task.held_out_loss(at_optimum, step)) == pytest.approx(task.loss_floor, rel=1e-6)
    assert task.loss(at_optimum, task.batch(step)).item() == pytest.approx(task.loss_floor, rel=0.02)
    elsewhere = task.model()
    expected = float(task.held_out_loss(elsewhere, step))
    assert expected > task.loss_floor
    assert task.loss(elsewhere, task.batch(step)).item() == pytest.approx(expected, rel=0.02)


def test_factors_at_the_optimum_are_multiples_of_the_covariance() -> None:
    task = small("rotating-quadratic", width=4, speed=3.0, condition=50.0, batch_size=16)
    step, count = 11, 20_000
    covariance = task.covariance(step).double()
    spread = task.rotation(step).double() * task.variances.double().sqrt()
    normal = torch.randn(2, count, 16, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs, errors = normal @ spread.T
    gradients = -task.noise * torch.einsum("cbi,cbj->cij", errors, inputs) / 16
    left = torch.einsum("cij,ckj->ik", gradients, gradients) / count
    right = torch.einsum("cij,cik->jk", gradients, gradients) / count
    scale = task.noise**2 * covariance.trace() / 16
    for factor in (left, right):
        assert torch.allclose(factor / scale, covariance, atol=0.05 * float(covariance.abs().max()))


def test_the_distribution_turns_at_the_set_speed() -> None:
    task = small("rotating-quadratic", width=2, speed=0.5, condition=100.0)

    def direction(step: int) -> torch.Tensor:
        return torch.linalg.eigh(task.covariance(step).double())[1][:, -1]

    cosine = float((direction(10) @ direction(50)).abs())
    assert np.degrees(np.arccos(cosine)) == pytest.approx(0.5 * 40, abs=1e-3)
    values = torch.linalg.eigvalsh(task.covariance(7))
    assert float(values[1] / values[0]) == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("width", [2, 3, 8, 33])
def test_rotations_are_orthogonal_and_variances_complete(width: int) -> None:
    task = small("rotating-quadratic", width=width, condition=1e4)
    rotation = task.rotation(123)
    assert torch.allclose(rotation @ rotation.T, torch.eye(width), atol=1e-6)
    expected = torch.logspace(0, -4, width)
    assert torch.allclose(task.variances.sort(descending=True).values, expected)


def test_the_picture_shows_trail_ellipse_and_optimum() -> None:
    task = small("rotating-quadratic", width=2, shift_at=3)
    model = task.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    visited = []
    for step in range(1, TRAIL + 21):
        visited.append(model.weight[0].tolist())
        loss = task.loss(model, task.batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.held_out_loss(model)
        if step == 10:
            assert np.allclose(task.picture(model, step)["trail"], visited)
    picture = task.picture(model, step)
    assert np.allclose(picture["trail"], visited[-TRAIL:])
    assert np.allclose(picture["position"], model.weight[0].tolist())
    assert np.allclose(picture["optimum"], task.optimum(1)[0].flip(0))
    inverse = np.linalg.inv(picture["covariance"].astype(np.float64))
    ellipse = picture["ellipse"].astype(np.float64)
    assert np.allclose(np.einsum("pi,ij,pj->p", ellipse, inverse, ellipse), 1, atol=1e-3)
    assert np.allclose(ellipse[0], ellipse[-1], atol=1e-6)

    restored = task.model()
    restored.load_state_dict(model.state_dict())
    assert np.array_equal(task.picture(restored, step)["trail"], picture["trail"])
