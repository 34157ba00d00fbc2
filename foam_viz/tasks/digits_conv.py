"""Handwritten digits told apart by a small convolutional network: 4-D parameters, each with four factors."""

from __future__ import annotations

from typing import Any

from torch import nn

from foam_viz.tasks.digits import CLASSES, SIDE, Digits

_POOLED_LAYERS = 2


class DigitsConvolutional(Digits):
    """``depth`` convolutions of 3x3 with ``width`` channels and ReLU; the first two are followed by 2x2 pooling.

    A drift burst permutes pixels: neighbourhoods are gone, so that the filters themselves must be learned anew. See
    :class:`Digits` for the arguments.
    """

    def __init__(self, *, width: int = 32, **settings: Any) -> None:
        super().__init__(width=width, **settings)

    def architecture(self) -> nn.Module:
        """Return convolutions of 3x3 and a linear layer on the last feature maps."""
        layers: list[nn.Module] = [nn.Unflatten(1, (1, SIDE, SIDE))]
        channels, side = 1, SIDE
        for layer in range(self.depth):
            layers += [nn.Conv2d(channels, self.width, 3, padding=1), nn.ReLU()]
            channels = self.width
            if layer < _POOLED_LAYERS:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, CLASSES))

    def heads(self, model: nn.Module) -> tuple[nn.Module, ...]:
        """Return the linear layer that gives the classes."""
        assert isinstance(model, nn.Sequential)
        return (model[-1],)
