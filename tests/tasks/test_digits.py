"""The digits tasks: unchanged where they were, split honestly, drawn as the model sees them."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from foam_viz.tasks.catalogue import TASKS
from foam_viz.tasks.digits_vit import _patches
from foam_viz.tasks.task import batch_generator
from tests.tasks.small import small

# First losses, and the held-out loss after them, under AdamW at lr 1e-2, betas (0.9, 0.99).
RECORDED = {
    ("digits-autoencoder", 0): (14.87224, 8.109392, 11.4175, 5.620759, 6.349076, 5.425369, 5.709182),
    ("digits-autoencoder", 3): (15.14625, 10.74715, 6.350559, 4.961952, 12.72259, 7.320048, 6.2701),
    ("digits-classifier", 0): (2.307341, 2.150595, 1.91613, 1.757799, 1.453904, 1.175592, 1.030546),
    ("digits-classifier", 3): (2.333684, 2.157707, 2.034348, 1.772743, 1.610198, 1.370407, 1.178551),
}
SIZES = {"digits-autoencoder": (64, 128, 64, 16, 64, 128, 64), "digits-classifier": (64, 128, 64, 10)}


def _train(loss_of, parameters, steps: int = 6) -> list[float]:
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, betas=(0.9, 0.99), weight_decay=0)
    losses = []
    for step in range(1, steps + 1):
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("name", "seed"), list(RECORDED))
def test_defaults_train_as_they_always_did(name: str, seed: int) -> None:
    task = TASKS[name].build(TASKS[name].review({})[0], seed=seed)
    model = task.model()
    losses = _train(lambda step: task.loss(model, task.batch(step)), model.parameters())
    assert [*losses, float(task.held_out_loss(model))] == pytest.approx(RECORDED[name, seed], rel=1e-4)

    # To the bit: the same training written out.
    bunch = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    pixels = (torch.from_numpy(bunch.data).float() / 16)[order]
    labels = torch.from_numpy(bunch.target)[order]
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in zip(SIZES[name], SIZES[name][1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    plain = nn.Sequential(*layers[:-1])

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.randint(1400, (128,), generator=batch_generator(seed, step))
        if name == "digits-autoencoder":
            return ((plain(pixels[chosen]) - pixels[chosen]) ** 2).sum(1).mean()
        return nn.functional.cross_entropy(plain(pixels[chosen]), labels[chosen])

    assert _train(loss_of, plain.parameters()) == losses


def test_no_image_is_in_both_parts() -> None:
    task = small("digits-classifier", batch_size=1400)
    kept = {tuple(image) for image in task.held_out(1)[0].tolist()}
    drawn = {tuple(image) for step in range(1, 9) for image in task.batch(step)[0].tolist()}
    assert len(task.held_out(1)[0]) == 397
    assert len(drawn) > 1390
    assert not kept & drawn


def test_patches_are_squares() -> None:
    image = torch.arange(64.0).view(1, 8, 8)
    cut = _patches(image.view(1, 64))
    assert cut.shape == (1, 16, 4)
    for patch in range(16):
        row, column = 2 * (patch // 4), 2 * (patch % 4)
        assert torch.equal(cut[0, patch].view(2, 2), image[0, row : row + 2, column : column + 2])


def test_the_picture_is_what_the_model_sees_and_makes() -> None:
    task = small("digits-autoencoder", shift_at=3)
    model = task.model()
    for step in (1, 3):
        picture = task.picture(model, step)
        pixels = task.held_out_batch(step)[0][:10]
        assert picture["input"].shape == picture["reconstruction"].shape == (10, 8, 8)
        assert torch.equal(torch.from_numpy(picture["input"]).view(10, 64), pixels)
        assert torch.allclose(torch.from_numpy(picture["reconstruction"]).view(10, 64), model(pixels), atol=1e-6)
