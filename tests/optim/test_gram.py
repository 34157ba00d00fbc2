"""Statistics against numpy, with and without the triangle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foam_viz.optim.gram import accumulate, complete, is_triangular, stripes


@pytest.mark.parametrize(("beta", "weight"), [(0.9, 0.1), (1.0, 1.0)])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 3, 2, 2), (300, 3), (256, 2), (3, 385)])
def test_accumulates_the_gram_matrix_of_every_unfolding(shape: tuple[int, ...], beta: float, weight: float) -> None:
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(2, *shape))
    for dim, size in enumerate(shape):
        old = generator.normal(size=(2, size, size))
        old = old + old.transpose(0, 2, 1)
        statistics = torch.tensor(old)
        accumulate(statistics, stripes(statistics), [torch.tensor(g) for g in gradients], dim, beta)
        assert is_triangular(statistics) == (size >= 256)
        for i, gradient in enumerate(gradients):
            unfolded = np.moveaxis(gradient, dim, 0).reshape(size, -1)
            expected = beta * old[i] + weight * unfolded @ unfolded.T
            np.testing.assert_allclose(complete(statistics)[i].numpy(), expected, atol=1e-12)
