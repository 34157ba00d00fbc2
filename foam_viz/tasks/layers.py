"""Building blocks that several tasks share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with torch's default initialisation, tanh between them and none after the last."""
    modules: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        modules += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*modules[:-1])


class Attention(nn.Module):
    """Self-attention of several heads; one matrix for queries, keys and values, as GPT has it.

    Args:
        width: Features of a token.
        heads: Attention heads; they share the width evenly.
        causal: Whether a token sees only itself and what is before it.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps (batch, tokens, width) to the same shape."""
        batch, length, width = tokens.shape
        parts = self.inward(tokens).view(batch, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        return self.outward(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """A transformer block: attention, then two layers with GELU, each on normalised input and added to it."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.second_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps (batch, tokens, width) to the same shape."""
        tokens = tokens + self.attention(self.norm(tokens))
        return tokens + self.narrow(nn.functional.gelu(self.widen(self.second_norm(tokens))))


def embedding(count: int, width: int) -> nn.Embedding:
    """Learned vectors of characters or places, small at the start. The type tells that this is no hidden matrix."""
    module = nn.Embedding(count, width)
    nn.init.normal_(module.weight, std=0.1)
    return module
