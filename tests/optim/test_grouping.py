"""Groups of a model: hidden matrices apart from vectors, embeddings and heads."""

from __future__ import annotations

from torch import nn

from foam_viz.optim.grouping import hidden_matrices
from foam_viz.optim.shampoo import Shampoo


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embedding.weight
        self.classifier = nn.Linear(4, 3)


def test_groups() -> None:
    model = Tied()
    inner, outer = hidden_matrices(model, heads=[model.classifier])
    assert [id(p) for p in inner["params"]] == [id(model.hidden.weight)]
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in outer["params"]] == [
        "embedding.weight", "hidden.bias", "norm.weight", "norm.bias", "classifier.weight", "classifier.bias",
    ]  # fmt: skip
    optimizer = Shampoo(hidden_matrices(model), lr=0.1)
    assert [f.id for f in optimizer.factors()] == [f"{i}.block_0.{d}" for i in (0, 1) for d in (0, 1)]


def test_empty_groups_are_left_out() -> None:
    (only,) = hidden_matrices(nn.LayerNorm(4))
    assert only["precondition"] == "none" and len(only["params"]) == 2
