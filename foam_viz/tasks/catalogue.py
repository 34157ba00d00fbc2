"""Every task with its settings: the one list that UI, CLI, URL, validation and export read. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from foam_viz.optim.fields import Constraint, Field, FieldError
from foam_viz.tasks import outline as outlines
from foam_viz.tasks.files import FileField, TextField
from foam_viz.tasks.shared_fields import (
    ATTENTION_HEADS,
    BATCH_SIZE,
    CONDITION,
    DEPTH,
    HEADS_FIT,
    SHIFT_AT,
    WIDTH,
)
from foam_viz.tasks.spec import TaskSpec

_ALL = (
    TaskSpec(
        name="digits-autoencoder",
        label="Digits autoencoder",
        summary="Squeezes 8x8 handwritten digits through 16 numbers and back: small, and visibly hurt by a stale "
        "preconditioner.",
        factory="foam_viz.tasks.digits:DigitsAutoencoder",
        outline=outlines.autoencoder,
        fields=(
            BATCH_SIZE,
            replace(WIDTH, default=128, help="Size of the first hidden layer; each further one halves."),
            replace(DEPTH, high=4, help="Hidden layers before the 16 numbers; the decoder mirrors them."),
            SHIFT_AT,
        ),
        # Chosen so that float32 resolves eps0 and damping bites: ``python -m benchmarks defaults``.
        optimizer_defaults=(("epsilon", 3e-6), ("epsilon_max", 3e-5)),
        loss_unit="squared error per image",
        picture="reconstruction",
    ),
    TaskSpec(
        name="digits-classifier",
        label="Digits classifier",
        summary="Tells 8x8 handwritten digits apart: too easy to show staleness at the end, good for first steps.",
        factory="foam_viz.tasks.digits:DigitsClassifier",
        outline=outlines.classifier,
        fields=(
            BATCH_SIZE,
            replace(WIDTH, default=128, help="Size of the first hidden layer; each further one halves."),
            replace(DEPTH, high=4),
            SHIFT_AT,
        ),
        loss_unit="nats",
    ),
    TaskSpec(
        name="digits-conv",
        label="Digits, convolutional",
        summary="Tells handwritten digits apart by 3x3 filters: parameters of four dimensions, four factors each.",
        factory="foam_viz.tasks.digits_conv:DigitsConvolutional",
        outline=outlines.convolutional,
        fields=(
            BATCH_SIZE,
            replace(
                WIDTH, default=32, unit="channels", help="Channels of a convolution, and size of its largest factor."
            ),
            replace(DEPTH, high=4, help="Number of convolutions; the first two are followed by pooling."),
            SHIFT_AT,
        ),
        loss_unit="nats",
    ),
    TaskSpec(
        name="digits-vit",
        label="Digits, vision transformer",
        summary="Tells handwritten digits apart from 16 patches: the vision transformer in small.",
        factory="foam_viz.tasks.digits_vit:DigitsVisionTransformer",
        outline=outlines.vision_transformer,
        fields=(
            replace(BATCH_SIZE, default=64),
            replace(WIDTH, help="Features of a patch; the widest factor has four times as many rows."),
            replace(DEPTH, unit="blocks", help="Number of transformer blocks."),
            ATTENTION_HEADS,
            SHIFT_AT,
        ),
        loss_unit="nats",
        constraints=(HEADS_FIT,),
    ),
    TaskSpec(
        name="tiny-gpt",
        label="Tiny GPT",
        summary="Predicts the next character of a text written by a grammar whose entropy is known: the loss has a "
        "floor.",
        factory="foam_viz.tasks.tiny_gpt:TinyGPT",
        outline=outlines.gpt,
        fields=(
            replace(BATCH_SIZE, default=16, high=512, unit="windows", help="Windows of text drawn for one step."),
            replace(WIDTH, help="Features of a character; the widest factor has four times as many rows."),
            replace(DEPTH, unit="blocks", help="Number of transformer blocks."),
            ATTENTION_HEADS,
            Field(
                name="context",
                kind="integer",
                default=64,
                low=8,
                high=256,
                label="Context",
                unit="characters",
                help="Characters predicted in a window, each from those before it.",
            ),  # fmt: skip
            SHIFT_AT,
        ),
        # Chosen like those of the digits autoencoder.
        optimizer_defaults=(("epsilon", 1e-8), ("epsilon_max", 3e-5)),
        loss_unit="nats per character",
        local_fields=(
            FileField(
                name="text",
                ending="txt",
                label="Text file",
                help="Path of a text of your own in UTF-8, the last tenth is held out; none means the grammar's text.",
            ),
        ),  # fmt: skip
        constraints=(HEADS_FIT,),
    ),
    TaskSpec(
        name="spirals",
        label="Spirals",
        summary="Tells interleaved spiral arms apart: two inputs, so that the decision boundary can be watched.",
        factory="foam_viz.tasks.spirals:Spirals",
        outline=outlines.spirals,
        fields=(
            BATCH_SIZE,
            WIDTH,
            DEPTH,
            Field(name="arms", kind="integer", default=2, low=2, high=5, label="Arms", help="Number of classes."),
            Field(
                name="turns",
                kind="real",
                default=1.0,
                low=0.1,
                high=4,
                label="Turns",
                help="How often an arm winds round the centre: the more, the harder.",
            ),
            Field(
                name="noise",
                kind="real",
                default=0.05,
                low=0,
                high=1,
                label="Noise",
                help="Standard deviation of a point's distance from its arm; arms end at radius 2.",
            ),
            SHIFT_AT,
        ),  # fmt: skip
        loss_unit="nats",
        picture="decision",
    ),
    TaskSpec(
        name="rotating-quadratic",
        label="Rotating quadratic",
        summary="Least squares whose gradient distribution turns at a set speed, with a known optimum: staleness and "
        "nothing else.",
        factory="foam_viz.tasks.rotating_quadratic:RotatingQuadratic",
        outline=outlines.quadratic,
        fields=(
            replace(BATCH_SIZE, default=32, unit="samples", help="Fresh samples of one step."),
            replace(
                WIDTH,
                default=2,
                low=2,
                unit="rows",
                help="Rows and columns of the matrix, and of both factors; 2 can be drawn.",
            ),
            replace(CONDITION, help="Ratio of the largest to the smallest eigenvalue of the factors at the optimum."),
            Field(
                name="speed",
                kind="real",
                default=0.5,
                low=0,
                high=90,
                label="Speed",
                unit="degrees a step",
                help="How fast the eigenvectors of the factors turn.",
            ),
            Field(
                name="noise",
                kind="real",
                default=0.1,
                low=0,
                high=10,
                label="Noise",
                help="Size of the noise in the outputs, which keeps gradients alive at the optimum.",
            ),
            SHIFT_AT,
        ),  # fmt: skip
        loss_unit="half squared error",
        picture="ellipse",
    ),
    TaskSpec(
        name="matrix-factorization",
        label="Matrix factorization",
        summary="Completes an ill-conditioned matrix of low rank from some of its entries; the best loss is 0.",
        factory="foam_viz.tasks.matrix_factorization:MatrixFactorization",
        outline=outlines.factorization,
        fields=(
            replace(BATCH_SIZE, default=512, high=65536, unit="entries", help="Entries of the matrix for one step."),
            replace(WIDTH, low=16, unit="rows", help="Rows and columns of the matrix."),
            Field(
                name="rank",
                kind="integer",
                default=8,
                low=1,
                high=128,
                label="Rank",
                unit="columns",
                help="Columns of the two factors learned, and rank of the matrix.",
            ),
            replace(CONDITION, help="Ratio of the largest to the smallest singular value that is not zero."),
            SHIFT_AT,
        ),  # fmt: skip
        loss_unit="squared error per entry",
        constraints=(
            Constraint(
                field="rank",
                others=("width",),
                allowed="at most the width, which is {width}",
                holds=lambda settings: settings["rank"] <= settings["width"],
            ),
        ),  # fmt: skip
        picture="singular-values",
    ),
    TaskSpec(
        name="csv",
        label="Table (CSV)",
        summary="Predicts one column of a table of numbers from the others: yours, or a study of diabetes.",
        factory="foam_viz.tasks.csv_regression:CsvRegression",
        outline=outlines.table,
        fields=(replace(BATCH_SIZE, default=64, unit="rows", help="Rows drawn for one step."), WIDTH, DEPTH, SHIFT_AT),
        loss_unit="variances of the target",
        local_fields=(
            FileField(
                name="table",
                ending="csv",
                label="Table",
                help="Path of a CSV file of numbers with column names; none means scikit-learn's diabetes table.",
            ),
            TextField(name="target", label="Target", help="Name of the column to predict; none means the last."),
            TextField(
                name="columns",
                label="Columns",
                help="Names of the columns to predict it from, separated by commas; none means all others.",
            ),
        ),  # fmt: skip
    ),
)
TASKS: dict[str, TaskSpec] = {spec.name: spec for spec in _ALL}
DEFAULT_TASK = _ALL[0].name


def find(name: str) -> TaskSpec:
    """The task of that name.

    Raises:
        FieldError: No such task; the message names the known ones and the closest.
    """
    if name in TASKS:
        return TASKS[name]
    close = get_close_matches(str(name), TASKS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise FieldError("task", name, f"one of {', '.join(TASKS)}{hint}")
