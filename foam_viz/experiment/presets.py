"""Classic comparisons, as the links that open them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foam_viz.experiment import releases
from foam_viz.experiment.links import VERSION_KEY


@dataclass(frozen=True)
class Preset:
    """A comparison worth watching.

    Attributes:
        label: Its name on the page.
        why: What to look for, in a sentence.
        lanes: The optimizers, as a link writes them; what they leave out takes its default on the task.
    """

    label: str
    why: str
    lanes: Sequence[str]

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """The query of the link that opens it."""
        return {VERSION_KEY: (str(releases.CURRENT),), "lane": self.lanes}


PRESETS: dict[str, Preset] = {
    "foam-against-fixed": Preset(
        "FOAM against a fixed period",
        "A tenth more loss for a sixth of the decompositions.",
        ("foam", "shampoo"),
    ),
    "how-stale": Preset(
        "How stale is too stale?",
        "The longer the period, the further the loss curves part.",
        ("shampoo", "shampoo:period=50", "shampoo:period=100", "shampoo:period=200"),
    ),
    "ablation": Preset(
        "FOAM taken apart",
        "What adaptive damping and the refresh each do alone.",
        ("foam", "foam-fixed-damping", "foam-no-refresh", "dr-shampoo"),
    ),
    "orders": Preset(
        "First order against second",
        "What a fresh preconditioner buys over AdamW.",
        ("adamw", "shampoo", "foam"),
    ),
}
