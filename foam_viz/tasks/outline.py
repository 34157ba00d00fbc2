"""What a task asks of a machine, from its settings alone: shapes, multiplications, numbers kept. Imports no torch.

Tests compare the shapes with those of the models themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of the digits (8x8 pixels, 10 classes, 16 patches of 4 pixels), of the grammar's text and of the diabetes table.
_PIXELS, _CLASSES, _BOTTLENECK, _SIDE = 64, 10, 16, 8
_PATCHES, _PATCH_PIXELS = 16, 4
_CHARACTERS = 27
_COLUMNS = 10
_POOLED = 2
# Numbers that a transformer block keeps of a token for the backward pass, as multiples of its width: two norms, three
# parts of attention and what comes of it, two sums, and twice four times the width.
_KEPT_A_BLOCK = 16


@dataclass(frozen=True)
class Parameter:
    """One parameter: its shape, and whether it is left out where matrices alone are preconditioned."""

    shape: tuple[int, ...]
    outer: bool = False


@dataclass(frozen=True)
class Outline:
    """A model and a batch.

    Attributes:
        parameters: All of them.
        multiplications: Of the forward pass of one batch.
        kept: Numbers that the backward pass of one batch needs.
    """

    parameters: tuple[Parameter, ...]
    multiplications: float
    kept: float


Outliner = Callable[[Mapping[str, Any]], Outline]


def _linear(inputs: int, outputs: int, *, bias: bool = True, outer: bool = False) -> list[Parameter]:
    return [Parameter((outputs, inputs), outer), *([Parameter((outputs,), outer)] if bias else [])]


def _perceptron(sizes: Sequence[int], batch: int) -> Outline:
    pairs = list(zip(sizes, sizes[1:], strict=False))
    parameters = [one for pair in pairs for one in _linear(*pair)]
    return Outline(
        tuple(parameters), batch * sum(inputs * outputs for inputs, outputs in pairs), 2.0 * batch * sum(sizes)
    )


def _halving(settings: Mapping[str, Any]) -> list[int]:
    return [max(1, settings["width"] >> layer) for layer in range(settings["depth"])]


def autoencoder(settings: Mapping[str, Any]) -> Outline:
    """The digits autoencoder."""
    hidden = _halving(settings)
    return _perceptron([_PIXELS, *hidden, _BOTTLENECK, *reversed(hidden), _PIXELS], settings["batch_size"])


def classifier(settings: Mapping[str, Any]) -> Outline:
    """The digits classifier."""
    return _perceptron([_PIXELS, *_halving(settings), _CLASSES], settings["batch_size"])


def convolutional(settings: Mapping[str, Any]) -> Outline:
    """Digits by convolutions of 3x3."""
    width, batch = settings["width"], settings["batch_size"]
    parameters: list[Parameter] = []
    channels, side, multiplications, kept = 1, _SIDE, 0.0, 0.0
    for layer in range(settings["depth"]):
        parameters += [Parameter((width, channels, 3, 3)), Parameter((width,))]
        multiplications += batch * side * side * channels * width * 9
        # What a convolution unfolds its input to is nine times as large.
        kept += batch * side * side * (9 * channels + 3 * width)
        channels = width
        side //= 2 if layer < _POOLED else 1
    parameters += _linear(channels * side * side, _CLASSES, outer=True)
    return Outline(tuple(parameters), multiplications, kept)


def _transformer(settings: Mapping[str, Any], tokens: int, outside: list[Parameter], head: list[Parameter]) -> Outline:
    width, depth, batch = settings["width"], settings["depth"], settings["batch_size"]
    norm = [Parameter((width,)), Parameter((width,))]
    attention = [Parameter((3 * width, width)), Parameter((width, width))]
    block = [*norm, *attention, *norm, Parameter((4 * width, width)), Parameter((width, 4 * width))]
    outputs = head[0].shape[0]
    all_tokens = batch * tokens
    return Outline(
        (*outside, *block * depth, *norm, *head),
        all_tokens * (depth * (12 * width * width + 2 * tokens * width) + outputs * width),
        float(all_tokens * (depth * _KEPT_A_BLOCK * width + 3 * outputs)),
    )


def vision_transformer(settings: Mapping[str, Any]) -> Outline:
    """Digits from 16 patches."""
    width = settings["width"]
    outside = [*_linear(_PATCH_PIXELS, width), Parameter((_PATCHES, width), outer=True)]
    return _transformer(settings, _PATCHES, outside, _linear(width, _CLASSES, outer=True))


def gpt(settings: Mapping[str, Any]) -> Outline:
    """Next characters of the grammar's text."""
    width, context = settings["width"], settings["context"]
    outside = [Parameter((_CHARACTERS, width), outer=True), Parameter((context, width), outer=True)]
    return _transformer(settings, context, outside, _linear(width, _CHARACTERS, bias=False, outer=True))


def spirals(settings: Mapping[str, Any]) -> Outline:
    """Points on arms."""
    sizes = [2, *[settings["width"]] * settings["depth"], settings["arms"]]
    return _perceptron(sizes, settings["batch_size"])


def quadratic(settings: Mapping[str, Any]) -> Outline:
    """One matrix, and the covariance that samples are drawn from."""
    width, batch = settings["width"], settings["batch_size"]
    return Outline((Parameter((width, width)),), 4.0 * batch * width * width, 6.0 * batch * width + 4 * width * width)


def factorization(settings: Mapping[str, Any]) -> Outline:
    """Two thin matrices."""
    width, rank, batch = settings["width"], settings["rank"], settings["batch_size"]
    both = (Parameter((width, rank)), Parameter((width, rank)))
    return Outline(both, batch * rank, 4.0 * batch * rank + 4 * width * width)


def table(settings: Mapping[str, Any]) -> Outline:
    """A table of numbers; one's own may have more columns, which only the process that reads it knows."""
    return _perceptron([_COLUMNS, *[settings["width"]] * settings["depth"], 1], settings["batch_size"])
