"""What the reader chose to look at, as one typed list: links, the feed's protocol and the controls check by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from foam_viz.analysis.axes import AXES
from foam_viz.analysis.smoothing import Kind, Smoothing
from foam_viz.optim.fields import Constraint, Field, FieldError, require

LossAxis = Literal["step", "optimizer_seconds", "decompositions"]
Measure = Literal["decides", "h", "r", "true_error", "age", "epsilon", "decompositions"]
SideBySide = Literal["overlap", "damping", "raster"]
Quantity = Literal["loss", "norms"]
Cost = Literal["phases", "decompositions"]

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
        help="A panel each, up to four; the table and the target are of the first.",
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


@dataclass(frozen=True)
class Look:
    """What the reader chose, for every page that draws panels; each field is described in :data:`FIELDS`.

    Attributes:
        factor: Index into ``manifest.factors`` of the factor that is followed; None follows nothing.
        lane: ``Lane.position`` of the lane whose factor is followed ("the focused lane").
        quantity: What the first card draws curves of.
        loss_axis: What the loss is drawn against.
        loss_log: Logarithmic loss axis.
        measure: What the factor map shows of each factor.
        side_by_side: Id of the panel that is drawn of every lane.
        cost: What the cost panel shows the seconds of.
        at: Step after which everything is shown; None for the newest.
        max_points: Points at most of one curve.
        metrics: Columns of steps that are compared, a panel each.
        x: Id of an axis of :data:`foam_viz.analysis.axes.AXES`, of comparisons.
        log_x, log_y: Logarithmic axes of comparisons.
        smoothing, scale: How compared curves are smoothed; see :class:`foam_viz.analysis.smoothing.Smoothing`.
        raw: Keep the raw curve faint behind the smoothed one.
        whole: Hold all values of a compared loss, those of its first tenth too.
        seeds: Draw runs of one configuration as their mean with a band.
        target: Value of the first metric at which a line is drawn.
        read_at: Step at which the table of a comparison reads values.
        baseline: Position of the lane that speed-ups are against.
        highlight: Position of the lane to bring forward.
        x_from, x_to: Part of the horizontal axis that is zoomed into.
    """

    factor: int | None = None
    lane: int = 0
    quantity: Quantity = "loss"
    loss_axis: LossAxis = "step"
    loss_log: bool = True
    measure: Measure = "decides"
    side_by_side: SideBySide = "overlap"
    cost: Cost = "phases"
    at: int | None = None
    max_points: int = 400
    metrics: tuple[str, ...] = ("loss",)
    x: str = "step"
    log_x: bool = False
    log_y: bool = True
    smoothing: Kind = "window"
    scale: float = 20.0
    raw: bool = True
    whole: bool = False
    seeds: bool = True
    target: float | None = None
    read_at: float | None = None
    baseline: int | None = None
    highlight: int | None = None
    x_from: float | None = None
    x_to: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Look:
        """The look of values from outside, such as a message of a browser; what is missing takes its default.

        Raises:
            FieldError: A value is refused, or there is no such field.
        """
        return cls(**require(FIELDS, given, CONSTRAINTS))

    def only(self, names: Collection[str]) -> Look:
        """The look with the fields of these names, and the defaults elsewhere: the key of a drawing that reads them."""
        return replace(Look(), **{name: getattr(self, name) for name in names})

    def changed(self) -> dict[str, Any]:
        """The fields that differ from the defaults, by name: what a link or a message has to carry."""
        plain = Look()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value != getattr(plain, name)}

    @property
    def smooth(self) -> Smoothing:
        """How compared curves are smoothed."""
        return Smoothing(self.smoothing, self.scale)

    @property
    def window(self) -> tuple[float, float] | None:
        """Part of the horizontal axis that is zoomed into; None for all of it."""
        return None if self.x_from is None or self.x_to is None else (self.x_from, self.x_to)
