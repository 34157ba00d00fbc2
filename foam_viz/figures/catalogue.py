"""Every panel with its title, its one-line explanation and its size. A new panel is a new file and an entry here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from foam_viz.figures.compare import comparison as compare
from foam_viz.figures.compare import damping as compare_damping
from foam_viz.figures.compare import rates as compare_rates
from foam_viz.figures.panel import Drawing, Need, PanelSpec
from foam_viz.figures.panels import (
    cost,
    damping,
    decision,
    factor_map,
    loss,
    metrics,
    multiples,
    norms,
    overlap,
    picture,
    raster,
    spectrum,
    turn,
    waterfall,
)
from foam_viz.figures.scene import Lane, Scene

_LOSSES = Need(
    "a training or held-out loss",
    lambda trace: trace.has("steps", "loss") or trace.has("steps", "held_out_loss"),
    promised=lambda trace: True,
)
_CHECKS = Need(
    "checks of single factors",
    lambda trace: trace.has("checks", "factor"),
    promised=lambda trace: bool(trace.manifest.factors),
)
_SPECTRA = Need(
    "spectra of factors",
    lambda trace: trace.has("snapshots", "eigenvalues"),
    promised=lambda trace: bool(trace.manifest.factors),
)
_BASES = Need(
    "eigenbases of factors",
    lambda trace: trace.has("snapshots", "overlap") or trace.has("snapshots", "turn"),
    promised=lambda trace: bool(trace.manifest.factors),
)
_TURNS = Need(
    "turns of eigenbases",
    lambda trace: trace.has("snapshots", "turn") or trace.has("snapshots", "top_angles"),
    promised=lambda trace: bool(trace.manifest.factors),
)
_PICTURES = Need(
    "pictures of what the model does",
    lambda trace: trace.rows("pictures") > 0 and picture.known(trace.manifest.picture),
    promised=lambda trace: picture.known(trace.manifest.picture),
)

_CHECKED = Need(
    "checks of factors",
    lambda trace: trace.rows("checks") > 0,
    promised=lambda trace: bool(trace.manifest.factors),
)

_SECONDS = Need(
    "seconds of an optimizer with factors",
    lambda trace: trace.has("steps", "optimizer_seconds") and trace.has("checks", "factor"),
    promised=lambda trace: bool(trace.manifest.factors),
)

_OF_LOSS = frozenset({"quantity", "loss_axis", "loss_log", "max_points"})
_OF_FACTOR = frozenset({"factor", "lane"})
_OF_SIDES = frozenset({"x", "log_x", "highlight"})
_OF_CURVES = _OF_SIDES | {
    "metrics", "log_y", "smoothing", "scale", "raw", "whole", "seeds", "target", "x_from", "x_to", "max_points",
}  # fmt: skip


def _loss_or_norms(scene: Scene) -> Drawing:
    return {"loss": loss.draw, "norms": norms.draw}[scene.look.quantity](scene)


PANELS: tuple[PanelSpec, ...] = (
    PanelSpec(
        "loss",
        "Loss",
        "Thin lines are the training loss of every step, thick ones its mean over the last steps, open markers the "
        "held-out loss. Lower is better; curves that part show what staleness costs. Norms, chosen above, are of the "
        "whole gradient and of what a step changed in all parameters: runs made here measure them at step 1 and at "
        "every 10th step, and a line tells nothing of the steps between.",
        _loss_or_norms,
        columns=8,
        height=360,
        reads=_OF_LOSS,
        requires=_LOSSES,
        over_time=True,
        choices=("quantity", "loss_axis", "loss_log"),
    ),
    PanelSpec(
        "decision",
        "Last decision",
        "What the optimizer decided about the followed factor at its last check, and from which numbers.",
        decision.draw,
        columns=4,
        height=360,
        reads=_OF_FACTOR,
        requires=_CHECKS,
        table="checks",
    ),
    PanelSpec(
        "factor-map",
        "Factor map",
        "A cell is one factor: layers across, left and right sides down, coloured by what its optimizer goes by: drift "
        "h, or residual r where that decides or no damping is known. With a threshold τ, blue is below it, vermilion "
        "past it. Click a cell to follow that factor everywhere; choose above what the colour shows.",
        factor_map.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR | {"measure"},
        requires=_CHECKS,
        choices=("measure",),
        table="checks",
    ),
    PanelSpec(
        "damping",
        "Damping and drift",
        "Above: the damping ε rises while the basis ages and falls to ε₀ at each decomposition (ticks, coloured by "
        "reason). Below: the measured drift, tinted beyond τ; open circles are the true error, measured on a schedule.",
        damping.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR,
        requires=_CHECKS,
        over_time=True,
        table="checks",
    ),
    PanelSpec(
        "spectrum",
        "Spectrum",
        "Eigenvalues of the factor, largest first. Directions in the shaded band lie under the damping ε: it drowns "
        "them. The dotted ghost is the spectrum at the last decomposition.",
        spectrum.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR,
        requires=_SPECTRA,
        table="snapshots",
    ),
    PanelSpec(
        "overlap",
        "Eigenbasis drift",
        "How much of each stale eigen-direction lies along each current one, largest eigenvalues first. A sharp "
        "diagonal is a fresh basis. Blur among near-equal eigenvalues changes nothing: the turn counts what left its "
        "group of eigenvalues within 10 %, weighed by their size.",
        overlap.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR,
        requires=_BASES,
        table="snapshots",
    ),
    PanelSpec(
        "turn",
        "Turn of the eigenbasis",
        "Above: the share of the factor's energy (its trace) that has left its group of near-equal eigenvalues since "
        "the last decomposition; mixing inside a group counts nothing. Below: principal angles between the leading "
        "stale directions and the current ones. Lines break where the basis was decomposed anew.",
        turn.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR,
        requires=_TURNS,
        over_time=True,
        table="snapshots",
    ),
    PanelSpec(
        "waterfall",
        "Spectrum over time",
        "A column is one snapshot, a row one eigen-direction, colour its eigenvalue. Directions below a line lie under "
        "that damping: ε₀ dotted, ε in force solid, the largest ε allowed dashed.",
        waterfall.draw,
        columns=4,
        height=380,
        reads=_OF_FACTOR,
        requires=_SPECTRA,
        over_time=True,
        table="snapshots",
    ),
    PanelSpec(
        "raster",
        "Refresh raster",
        "A row is one factor, time runs to the right, a mark is one check. Faint: the basis was reused. Strong: it was "
        "decomposed, coloured by the reason. Where a log counts intervals, a bar is an interval, its strength the "
        "share that decomposed. Click a row to follow that factor.",
        raster.draw,
        columns=8,
        height=350,
        reads=_OF_FACTOR,
        requires=_CHECKS,
        over_time=True,
        table="checks",
    ),
    PanelSpec(
        "cost",
        "Cost",
        "Time of each lane by phase: gradient, then the optimizer's statistics, checks, decompositions with the roots "
        "made of them, and applying the update. Logs that did not time phases show what steps without a check take, "
        "and what checks and decompositions add. The dotted frame ends where every check would have decomposed, at "
        "the cost of those that did. Under each name stands the memory of factors, bases and roots. Choose "
        "decompositions alone for their seconds beside their count.",
        cost.draw,
        columns=4,
        height=350,
        reads=frozenset({"cost"}),
        requires=_SECONDS,
        over_time=True,
        choices=("cost",),
    ),
    PanelSpec(
        "multiples",
        "Lanes side by side",
        "One panel of every lane on the same axes: the followed factor, or the one of the same name in the other "
        "lanes. Choose above which panel.",
        multiples.draw,
        columns=12,
        height=380,
        reads=_OF_FACTOR | {"side_by_side"},
        requires=_CHECKS,
        over_time=True,
        choices=("side_by_side",),
        least=2,
        table="checks",
    ),
    PanelSpec(
        "picture",
        "What the models do",
        "One picture a run, every 50 steps. Where points are told apart, colour is the class a model gives each "
        "place, paler where it is unsure. Digits stand above what a model makes of them. A trail ends at the optimum.",
        picture.draw,
        columns=12,
        height=350,
        reads=frozenset(),
        requires=_PICTURES,
    ),
)
"""In reading order."""


PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "teach": ("Teach", ("loss", "decision", "factor-map", "damping", "spectrum", "overlap", "picture")),
    "tune": ("Tune", ("loss", "decision", "damping", "factor-map", "cost", "raster", "multiples")),
    "inspect": ("Inspect", tuple(spec.id for spec in PANELS)),
}
"""Choices of cards by name: the reader's words and the ids of the panels."""


def panels_for(lanes: Sequence[Lane]) -> list[PanelSpec]:
    """The panels that have something to show, or will have, on a page of these runs: those above, and other metrics."""
    return [*(spec for spec in PANELS if spec.has_place(lanes)), *metrics.cards(lanes)]


COMPARE_PANELS: tuple[PanelSpec, ...] = (
    PanelSpec(
        "rates",
        "Refresh rates, left and right",
        "Decompositions per factor and 100 steps, left factors filled, right ones open; a bar is the interval of a "
        "point. Points are not joined: what happened between is not known.",
        compare_rates.draw,
        columns=6,
        height=380,
        reads=_OF_SIDES,
        requires=_CHECKED,
        table="checks",
    ),
    PanelSpec(
        "sides",
        "Damping, left and right",
        "Median damping over the factors of a side, with the range over factors; left filled, right open. Where the "
        "log counts intervals it is what damping was at their ends.",
        compare_damping.draw,
        columns=6,
        height=380,
        reads=_OF_SIDES,
        requires=_CHECKED,
        table="checks",
    ),
)
"""What comparisons have below their metrics."""


def compared(scene: Scene) -> list[PanelSpec]:
    """The panels of a comparison: a metric each as the look names them, and those above that have something to show."""
    metrics_of = scene.look.metrics
    wide = len(metrics_of) == 1
    cards = [
        PanelSpec(
            f"compare-{position}",
            {"loss": "Training loss", "held_out_loss": "Held-out loss"}.get(metric, metric),
            "A thick line is the smoothed curve, a faint one the values as logged. Seeds of one configuration are one "
            "mean with a band. A cross ends a run that diverged. Drag to zoom, which loads detail; double click for "
            "all.",
            partial(compare.draw, position=position),
            columns=12 if wide else 6,
            height=470 if wide else 380,
            reads=_OF_CURVES,
            choices=("whole",) if "loss" in metric else (),
        )
        for position, metric in enumerate(metrics_of)
    ]
    return [*cards, *(spec for spec in COMPARE_PANELS if spec.has_place(scene.lanes))]


BY_ID: dict[str, PanelSpec] = {spec.id: spec for spec in PANELS}
