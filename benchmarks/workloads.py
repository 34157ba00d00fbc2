"""The two models that optimizers are timed on, and the recorded gradients that all of them are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 128  # images, or 8 sequences of 64 characters for the transformer
CONTEXT, VOCABULARY, WIDTH, LAYERS, HEADS = 64, 128, 128, 4, 4


@dataclass(frozen=True)
class Workload:
    """A model and a loss on synthetic data.

    Attributes:
        name: A or B.
        label: What it is.
        model: Makes the model.
        loss: The loss of a model on a fresh batch drawn by a generator.
    """

    name: str
    label: str
    model: Callable[[], nn.Module]
    loss: Callable[[nn.Module, torch.Generator], Tensor]

    def record(self, steps: int) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Initial parameters, and their gradients at each step of a training by AdamW: bases drift as in real runs."""
        torch.manual_seed(0)
        model = self.model()
        parameters = list(model.parameters())
        initial = [parameter.detach().clone() for parameter in parameters]
        optimizer = torch.optim.AdamW(parameters, lr=1e-3)
        generator = torch.Generator().manual_seed(0)
        recorded = []
        for _ in range(steps):
            optimizer.zero_grad()
            self.loss(model, generator).backward()
            recorded.append([parameter.grad.clone() for parameter in parameters])
            optimizer.step()
        return initial, recorded


def _mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )  # fmt: skip


def classify(model: nn.Module, generator: torch.Generator) -> Tensor:
    """Ten smooth prototypes of 28 x 28 pixels with noise, whose covariance has full rank and a falling spectrum."""
    fixed = torch.Generator().manual_seed(1)
    prototypes = functional.interpolate(torch.rand(10, 1, 7, 7, generator=fixed), size=28, mode="bicubic").flatten(1)
    labels = torch.randint(10, (BATCH,), generator=generator)
    smooth = torch.randn(BATCH, 1, 14, 14, generator=generator)
    noise = functional.interpolate(smooth, size=28, mode="bilinear").flatten(1)
    grain = torch.randn(BATCH, 784, generator=generator)
    return functional.cross_entropy(model(prototypes[labels] + 0.3 * noise + 0.05 * grain), labels)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.attention, self.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        queries, keys, values = (
            part.view(batch, length, HEADS, -1).transpose(1, 2)
            for part in self.attention(self.norms[0](x)).chunk(3, dim=-1)
        )
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.narrow(functional.gelu(self.widen(self.norms[1](x))))


class _Transformer(nn.Module):
    """A decoder of 834,304 parameters: embeddings of characters and places, blocks, a norm and an untied head."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(_Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.characters(tokens) + self.places.weight
        return self.head(self.norm(self.blocks(x)))


def _predict(model: nn.Module, generator: torch.Generator) -> Tensor:
    """A seeded walk over characters, each of which has eight likely followers."""
    fixed = torch.Generator().manual_seed(2)
    followers = torch.randint(VOCABULARY, (VOCABULARY, 8), generator=fixed)
    tokens = torch.randint(VOCABULARY, (BATCH * 4 // CONTEXT, 1), generator=generator)
    for _ in range(CONTEXT):
        choice = torch.randint(8, (len(tokens),), generator=generator)
        tokens = torch.cat([tokens, followers[tokens[:, -1], choice].unsqueeze(1)], dim=1)
    return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


WORKLOADS = {
    "A": Workload("A", "MLP 784-256-128-10, batch 128", _mlp, classify),
    "B": Workload("B", "transformer, width 128, 4 layers, vocabulary 128", _Transformer, _predict),
}
