"""Settings that several tasks have, each with its own default. Imports no torch."""

from __future__ import annotations

from foam_viz.optim.fields import Constraint, Field, FieldError

BATCH_SIZE = Field(
    name="batch_size", kind="integer", default=128, low=1, high=1400, label="Batch size", unit="examples",
    help="Examples drawn, with replacement, for one step.",
)  # fmt: skip
WIDTH = Field(
    name="width", kind="integer", default=64, low=8, high=512, label="Width", unit="features",
    help="Size of a hidden layer: the factors grow with it, and the cost of a decomposition with its cube.",
)  # fmt: skip
DEPTH = Field(
    name="depth", kind="integer", default=2, low=1, high=6, label="Depth", unit="layers",
    help="Number of hidden layers.",
)  # fmt: skip
SHIFT_AT = Field(
    name="shift_at", kind="integer", default=0, low=0, high=10_000_000, label="Drift burst at", unit="step",
    help="From this step on the coordinates of the input are permuted, by the seed; 0 means never.",
)  # fmt: skip
ATTENTION_HEADS = Field(
    name="attention_heads", kind="integer", default=4, low=1, high=16, label="Attention heads",
    help="Parts that attention splits the width into; the width must be a multiple.",
)  # fmt: skip
CONDITION = Field(
    name="condition", kind="real", default=100.0, low=1, high=1e6, label="Condition number", logarithmic=True,
    help="Ratio of the largest to the smallest.",
)  # fmt: skip
HEADS_FIT = Constraint(
    field="attention_heads", others=("width",), allowed="a divisor of the width, which is {width}",
    holds=lambda settings: settings["width"] % settings["attention_heads"] == 0,
)  # fmt: skip
PRECISION = Field(
    name="precision", kind="choice", default="float32", choices=("float32", "float64"), label="Precision",
    help="Type of the numbers of model, batches and optimizer state. float64 shows what of staleness is rounding in "
    "float32; an Apple GPU does not have it.",
)  # fmt: skip


def require_precision(precision: str, device: str) -> None:
    """Refuses a precision that is none, or that a device does not have.

    Args:
        precision: ``float32`` or ``float64``.
        device: What torch calls it.

    Raises:
        FieldError: It cannot be had.
    """
    if PRECISION.check(precision) == "float64" and device == "mps":
        allowed = "float32 on an Apple GPU (MPS), which has no float64; choose the CPU as the device for float64"
        raise FieldError(PRECISION.name, precision, allowed)
