"""The fields of a look as one typed list: links, the feed's protocol and the controls check by it."""

from __future__ import annotations

from dataclasses import dataclass

from foam_viz.analysis.axes import AXES
from foam_viz.optim.fields import Constraint, Field, FieldError

MOST_METRICS = 4
LONGEST_NAME = 200
"""Characters of the name of a metric at most."""

_LARGEST_STEP = 2**53 - 1
_LARGEST_INDEX = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Names(Field):
    """A setting that is a list of names: a tuple of text without repeats.

    Attributes:
        most: Names at most.
    """

    most: int = MOST_METRICS

    def allowed(self) -> str:
        """The values in words."""
        return f"1 to {self.most} names of 1 to {LONGEST_NAME} characters each"

    def check(self, value: object) -> tuple[str, ...]:
        """The names as a tuple.

        Raises:
            FieldError: It is no list of so many texts.
        """
        if isinstance(value, list | tuple):
            names = [name for name in value if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME]
            kept = tuple(dict.fromkeys(names))
            if len(names) == len(value) and 0 < len(kept) <= self.most:
                return kept
        raise FieldError(self.name, value, self.allowed())

    def parse(self, text: str) -> tuple[str, ...]:
        """One name from text; a link repeats the key for more."""
        return self.check([text])


FIELDS: tuple[Field, ...] = (
    Field(
        name="factor",
        kind="integer",
        default=None,
        optional=True,
        low=0,
        high=_LARGEST_INDEX,
        label="Factor",
        help="The factor that spectrum, damping, overlap and decision show.",
    ),
    Field(
        name="lane",
        kind="integer",
        default=0,
        low=0,
        high=_LARGEST_INDEX,
        label="Run",
        help="The run whose factor is followed, by its position.",
    ),
    Field(
        name="quantity",
        kind="choice",
        default="loss",
        choices=("loss", "norms"),
        label="Curves of",
        help="The loss, or the norms of gradient and update.",
    ),
    Field(
        name="loss_axis",
        kind="choice",
        default="step",
        choices=("step", "optimizer_seconds", "decompositions"),
        label="Loss against",
        help="Seconds are those of the optimizer alone: no forward, backward, evaluation or recording.",
    ),
    Field(
        name="loss_log", kind="boolean", default=True, label="Log loss", help="A logarithmic axis for the loss."
    ),
    Field(
        name="measure",
        kind="choice",
        default="decides",
        choices=("decides", "h", "r", "true_error", "age", "epsilon", "decompositions"),
        label="Colour by",
        help="What the factor map shows of each factor: what its optimizer goes by, or another measure.",
    ),
    Field(
        name="side_by_side",
        kind="choice",
        default="overlap",
        choices=("overlap", "damping", "raster"),
        label="Show",
        help="Which panel is drawn of every lane.",
    ),
    Field(
        name="cost",
        kind="choice",
        default="phases",
        choices=("phases", "decompositions"),
        label="Cost of",
        help="All phases of a step, or decompositions alone: their seconds beside their count.",
    ),
    Field(
        name="at",
        kind="integer",
        default=None,
        optional=True,
        low=0,
        high=_LARGEST_STEP,
        unit="step",
        label="Moment",
        help="The step after which everything is shown; none for the newest.",
    ),
    Field(
        name="max_points",
        kind="integer",
        default=400,
        low=50,
        high=20_000,
        label="Points",
        help="Points at most of one drawn curve.",
    ),
    Names(
        name="metrics",
        kind="choice",
        default=("loss",),
        label="Metrics",
        help="One panel for each metric, up to four. The table and the target use the first.",
    ),
    Field(
        name="x",
        kind="choice",
        default="step",
        choices=tuple(axis.id for axis in AXES),
        label="Against",
        help="The horizontal axis. "
        + " ".join(f"{axis.label[:1].upper()}{axis.label[1:]}: {axis.help}" for axis in AXES),
    ),
    Field(
        name="log_x", kind="boolean", default=False, label="Log x", help="A logarithmic horizontal axis."
    ),
    Field(name="log_y", kind="boolean", default=True, label="Log y", help="A logarithmic vertical axis."),
    Field(
        name="smoothing",
        kind="choice",
        default="window",
        choices=("none", "ema", "window"),
        label="Smoothing",
        help="Weighs by steps, not by rows, so that curves logged densely and sparsely smooth alike. A window is "
        "centred; an exponential mean looks at the past alone, so it lags behind the curve.",
    ),
    Field(
        name="scale",
        kind="real",
        default=20.0,
        low=0.0,
        high=1e9,
        unit="steps",
        label="Over",
        help="Exponential mean: steps in which the weight of the past falls to 1/e. Window: its width.",
    ),
    Field(
        name="raw", kind="boolean", default=True, label="Raw curve", help="Keeps the raw curve faint behind the smooth."
    ),
    Field(
        name="whole",
        kind="boolean",
        default=False,
        label="Whole range",
        help="A vertical axis that holds all values; else a loss is shown as it was after its first tenth.",
    ),
    Field(
        name="seeds",
        kind="boolean",
        default=True,
        label="Group seeds",
        help="Runs of one configuration that differ in their seed become one mean with a band.",
    ),
    Field(
        name="target",
        kind="real",
        default=None,
        optional=True,
        label="Target",
        help="A value of the first metric: the table says when each run reached it.",
    ),
    Field(
        name="read_at",
        kind="real",
        default=None,
        optional=True,
        low=0.0,
        label="At step",
        help="A step: the table gives the value of each run there.",
    ),
    Field(
        name="baseline",
        kind="integer",
        default=None,
        optional=True,
        low=0,
        high=_LARGEST_INDEX,
        label="Baseline",
        help="Speed-ups to the target are against this run, given by its position.",
    ),
    Field(
        name="highlight",
        kind="integer",
        default=None,
        optional=True,
        low=0,
        high=_LARGEST_INDEX,
        label="Bring forward",
        help="Fades the other runs; given by its position.",
    ),
    Field(
        name="x_from",
        kind="real",
        default=None,
        optional=True,
        label="From",
        help="Where the part of the horizontal axis that is zoomed into begins; none for all of it.",
    ),
    Field(
        name="x_to",
        kind="real",
        default=None,
        optional=True,
        label="To",
        help="Where the part of the horizontal axis that is zoomed into ends; none for all of it.",
    ),
)  # fmt: skip

WORDS: dict[str, dict[str, str]] = {
    "loss_axis": {
        "step": "against step",
        "optimizer_seconds": "against optimizer seconds",
        "decompositions": "against decompositions",
    },
    "quantity": {"loss": "loss", "norms": "norms of gradient and update"},
    "measure": {
        "decides": "what decides",
        "h": "drift h",
        "r": "residual r",
        "true_error": "true error",
        "age": "age of the basis",
        "epsilon": "damping ε",
        "decompositions": "decompositions so far",
    },
    "cost": {"phases": "all phases", "decompositions": "decompositions alone"},
    "side_by_side": {"overlap": "eigenbasis drift", "damping": "damping and drift", "raster": "refresh raster"},
}
"""The values of the choices that a card offers, as the reader sees them."""

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}

CONSTRAINTS: tuple[Constraint, ...] = (
    Constraint(
        field="x_to",
        others=("x_from",),
        holds=lambda given: (
            (given["x_from"] is None) == (given["x_to"] is None)
            and (given["x_to"] is None or given["x_from"] < given["x_to"])
        ),
        allowed="above x_from = {x_from}, or none where that is none",
    ),
)
