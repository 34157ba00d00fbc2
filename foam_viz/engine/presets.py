"""Classic comparisons, as the links that open them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A comparison worth watching.

    Attributes:
        label: Its name on the page.
        why: What to look for, in a sentence.
        query: The query of the link that opens it.
    """

    label: str
    why: str
    query: Mapping[str, Sequence[str]]


PRESETS: dict[str, Preset] = {
    "foam-against-fixed": Preset(
        "FOAM against a fixed period",
        "Nearly the same loss from about a fifth of the decompositions.",
        {"lane": ("foam", "shampoo")},
    ),
    "how-stale": Preset(
        "How stale is too stale?",
        "The longer the period, the further the loss curves part.",
        {"lane": ("shampoo", "shampoo:period=50", "shampoo:period=100", "shampoo:period=200")},
    ),
    "ablation": Preset(
        "FOAM taken apart",
        "What adaptive damping and the refresh each do alone.",
        {"lane": ("foam", "foam-fixed-damping", "foam-no-refresh", "dr-shampoo")},
    ),
    "orders": Preset(
        "First order against second",
        "What a fresh preconditioner buys over AdamW.",
        {"lane": ("adamw", "shampoo", "foam")},
    ),
}
