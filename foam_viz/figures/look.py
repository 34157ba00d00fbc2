"""What the reader chose to look at, for every page that draws panels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from foam_viz.analysis.smoothing import Kind, Smoothing
from foam_viz.figures.look_fields import CONSTRAINTS, FIELDS
from foam_viz.optim.fields import require

LossAxis = Literal["step", "optimizer_seconds", "decompositions"]
Measure = Literal["decides", "h", "r", "true_error", "age", "epsilon", "decompositions"]
SideBySide = Literal["overlap", "damping", "raster"]
Quantity = Literal["loss", "norms"]
Cost = Literal["phases", "decompositions"]


@dataclass(frozen=True)
class Look:
    """What the reader chose, for every page that draws panels; each field is described in ``look_fields.FIELDS``.

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
