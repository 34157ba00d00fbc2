"""Parameter groups as practice forms them: hidden matrices by Shampoo, everything else by AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from foam_viz.optim.group import is_preconditioned


def hidden_matrices(model: nn.Module, heads: Iterable[nn.Module] = ()) -> list[dict[str, Any]]:
    """Splits a model's parameters into groups for ``Shampoo``.

    The first group holds the matrices inside the model, the second, with ``precondition="none"``, what AdamW updates:
    vectors and scalars, embeddings (and weights tied to them), and the heads, which nobody can tell from other matrices
    but the caller. Groups without parameters are left out.

    Args:
        model: The model; parameters without ``requires_grad`` are left out.
        heads: Modules whose parameters are left to AdamW.
    """
    outer = [m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)] + list(heads)
    excluded = {id(parameter) for module in outer for parameter in module.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    inner = [p for p in trained if id(p) not in excluded and is_preconditioned(p, "matrices")]
    kept = {id(parameter) for parameter in inner}
    groups = [
        {"params": inner, "precondition": "all"},
        {"params": [p for p in trained if id(p) not in kept], "precondition": "none"},
    ]
    return [group for group in groups if group["params"]]
