"""A small GPT that predicts the next character of a text."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor, nn

from foam_viz.tasks.files import read_text
from foam_viz.tasks.grammar import english_like
from foam_viz.tasks.layers import Block, embedding
from foam_viz.tasks.task import Batch, Task, batch_generator
from foam_viz.tasks.text import HELD_OUT_SHARE, require_enough

HELD_OUT_WINDOWS = 128
TRAINING_SENTENCES, HELD_OUT_SENTENCES = 6000, 1000
_TEXT_SEED = 1


@lru_cache(maxsize=1)
def _grammar_text() -> tuple[str, int]:
    """The project's text, after a line end, and where its held-out part begins (at a line end)."""
    source = english_like().sentences(_TEXT_SEED)
    sentences = [sentence for sentence, _ in islice(source, TRAINING_SENTENCES + HELD_OUT_SENTENCES)]
    trained = "\n" + "".join(sentences[:TRAINING_SENTENCES])
    return trained + "".join(sentences[TRAINING_SENTENCES:]), len(trained) - 1


@lru_cache(maxsize=8)
def _grammar_floor(context: int) -> float:
    return english_like().window_entropy(context)


class _CharacterModel(nn.Module):
    def __init__(self, characters: int, context: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = embedding(characters, width)
        self.place = embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)

    def forward(self, characters: Tensor) -> Tensor:
        """Scores of the next character (batch, length, characters) after each character of (batch, length)."""
        places = self.place.weight[: characters.shape[1]]
        return self.head(self.norm(self.blocks(self.embed(characters) + places)))


class TinyGPT(Task):
    """Next-character prediction; the loss is the cross-entropy in nats per character.

    The project's text is written by a probabilistic grammar, 6000 sentences for training and 1000 held out, equal for
    all seeds. Every window begins with the line end before a sentence, so that a perfect predictor knows where it is,
    and its expected loss, ``loss_floor``, is known exactly. (On training windows a large model may go below it in
    the end, by learning the text by heart.) In a user's text windows lie anywhere, the last tenth is held out, and no
    floor is known. A drift burst enciphers the text: every character is replaced by another.

    Args:
        seed: Seeds weights, batches and permutation.
        device: Where tensors live.
        batch_size: Windows of a step, drawn with replacement.
        width: Features of a character.
        depth: Transformer blocks.
        attention_heads: They share the width evenly.
        context: Characters predicted in a window, each from those before it.
        shift_at: First step with an enciphered text; 0 for never.
        text: Path of a text file in UTF-8; None for the project's text.

    Raises:
        FieldError: The text cannot be read, is too short for the context, or has too many different characters.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 16,
        width: int = 64,
        depth: int = 2,
        attention_heads: int = 4,
        context: int = 64,
        shift_at: int = 0,
        text: str | None = None,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.depth = batch_size, width, depth
        self.attention_heads, self.context = attention_heads, context
        if text is None:
            written, boundary = _grammar_text()
            self.loss_floor = _grammar_floor(context)
        else:
            written = read_text("text", text)
            boundary = len(written) - int(HELD_OUT_SHARE * len(written))
            require_enough(text, written, context)
        self.held_out_from = boundary
        self.alphabet = "".join(sorted(set(written)))
        codes = {character: code for code, character in enumerate(self.alphabet)}
        self.characters = torch.tensor([codes[character] for character in written], device=self.device)
        # A window that begins at i uses characters i to i + context.
        places = torch.arange(len(written) - context)
        if text is None:
            line_ends = torch.tensor([position for position, character in enumerate(written) if character == "\n"])
            # Sentences at the very end are no starts, long or short, or short ones would be more likely to fit.
            self._starts = _but_last(line_ends[line_ends < boundary], context)
            held_out = _but_last(line_ends[line_ends >= boundary], context)
        else:
            self._starts, held_out = places[: boundary - context], places[boundary:]
        chosen = torch.linspace(0, len(held_out) - 1, min(HELD_OUT_WINDOWS, len(held_out))).long()
        self._held_out = self._windows(held_out[chosen])

    def architecture(self) -> nn.Module:
        """Return a transformer over characters."""
        return _CharacterModel(len(self.alphabet), self.context, self.width, self.depth, self.attention_heads)

    def coordinates(self) -> int:
        """Return the size of the alphabet."""
        return len(self.alphabet)

    def draw(self, step: int) -> Batch:
        """Return windows of the training text, drawn with replacement."""
        chosen = torch.randint(len(self._starts), (self.batch_size,), generator=batch_generator(self.seed, step))
        return (self._windows(self._starts[chosen]),)

    def held_out(self, step: int) -> Batch:
        """Return windows of the text never trained on."""
        return (self._held_out,)

    def _windows(self, starts: Tensor) -> Tensor:
        places = starts[:, None] + torch.arange(self.context + 1)
        return self.characters[places.to(self.device)]

    def permute(self, batch: Batch, permutation: Tensor) -> Batch:
        """Return the windows with permuted characters."""
        return (permutation[batch[0]],)

    def heads(self, model: nn.Module) -> tuple[nn.Module, ...]:
        """Return the linear layer that gives the logits of the next character."""
        assert isinstance(model, _CharacterModel)
        return (model.head,)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy in nats per character."""
        windows = batch[0]
        return nn.functional.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


def _but_last(line_ends: Tensor, context: int) -> Tensor:
    """Line ends with at least ``context`` sentences, and so as many characters, after them, whatever those are."""
    return line_ends[:-context]
