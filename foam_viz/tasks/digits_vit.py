"""Handwritten digits told apart by a small vision transformer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from foam_viz.tasks.digits import CLASSES, SIDE, Digits
from foam_viz.tasks.layers import Block, embedding
from foam_viz.tasks.task import Batch

PATCH = 2
PATCHES = (SIDE // PATCH) ** 2


def _patches(pixels: Tensor) -> Tensor:
    """Images (n, 64) cut into squares of 2x2 pixels: (n, 16, 4)."""
    across = SIDE // PATCH
    return pixels.view(-1, across, PATCH, across, PATCH).transpose(2, 3).reshape(-1, PATCHES, PATCH * PATCH)


class _VisionTransformer(nn.Module):
    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH * PATCH, width)
        self.place = embedding(PATCHES, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, patches: Tensor) -> Tensor:
        """Class scores (n, 10) of patches (n, 16, 4): the mean over patches of what the blocks make of them."""
        return self.head(self.norm(self.blocks(self.embed(patches) + self.place.weight)).mean(1))


class DigitsVisionTransformer(Digits):
    """``depth`` transformer blocks of ``width`` features on the 16 patches of 2x2 pixels of an image.

    A drift burst permutes patches. See :class:`Digits` for the other arguments.

    Args:
        attention_heads: They share the width evenly.
    """

    def __init__(self, *, attention_heads: int = 4, batch_size: int = 64, width: int = 64, **settings: Any) -> None:
        super().__init__(batch_size=batch_size, width=width, **settings)
        self.attention_heads = attention_heads
        self.pixels = _patches(self.pixels)

    def architecture(self) -> nn.Module:
        """Return a transformer over the patches."""
        return _VisionTransformer(self.width, self.depth, self.attention_heads)

    def coordinates(self) -> int:
        """Return the number of patches, 16."""
        return PATCHES

    def permute(self, batch: Batch, permutation: Tensor) -> Batch:
        """Return the batch with permuted patches."""
        return batch[0].index_select(1, permutation), *batch[1:]

    def heads(self, model: nn.Module) -> tuple[nn.Module, ...]:
        """Return the linear layer that gives the classes."""
        assert isinstance(model, _VisionTransformer)
        return (model.head,)
