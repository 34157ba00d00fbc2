"""Every panel with its title, its one-line explanation and its size. A new panel is a new file and an entry here."""

from __future__ import annotations

from foam_viz.figures import damping, decision, factor_map, loss, overlap, picture, raster, spectrum
from foam_viz.figures.panel import PanelSpec

PANELS: tuple[PanelSpec, ...] = (
    PanelSpec(
        "loss",
        "Loss",
        "Thin lines are the training loss of every step, thick ones its mean over the last steps, open markers the "
        "held-out loss. Lower is better; curves that part show what staleness costs.",
        loss.draw,
        columns=8,
        height=360,
    ),
    PanelSpec(
        "factor-map",
        "Factor map",
        "A cell is one factor: layers across, left and right sides down. Blue: its basis is still good; paper: drift "
        "just at the threshold τ; vermilion: past it. Click a cell to follow that factor everywhere.",
        factor_map.draw,
        columns=4,
        height=360,
    ),
    PanelSpec(
        "damping",
        "Damping and drift",
        "Above: the damping ε rises while the basis ages and falls to ε₀ at each decomposition (ticks, coloured by "
        "reason). Below: the measured drift, tinted beyond τ; open circles are the true error, measured on a schedule.",
        damping.draw,
        columns=4,
        height=380,
    ),
    PanelSpec(
        "spectrum",
        "Spectrum",
        "Eigenvalues of the factor, largest first. Directions in the shaded band lie under the damping ε: it drowns "
        "them. The dotted ghost is the spectrum at the last decomposition.",
        spectrum.draw,
        columns=4,
        height=380,
    ),
    PanelSpec(
        "overlap",
        "Eigenbasis drift",
        "How much of each current eigen-direction lies along each stale one, largest eigenvalues first. A sharp "
        "diagonal is a fresh basis; blur is drift, and it grows from the bottom right.",
        overlap.draw,
        columns=4,
        height=380,
    ),
    PanelSpec(
        "raster",
        "Refresh raster",
        "A row is one factor, time runs to the right, a mark is one check. Faint: the basis was reused. Strong: it was "
        "decomposed, coloured by the reason. Click a row to follow that factor.",
        raster.draw,
        columns=8,
        height=350,
    ),
    PanelSpec(
        "decision",
        "Last decision",
        "What the optimizer decided about the followed factor at its last check, and from which numbers.",
        decision.draw,
        columns=4,
        height=350,
    ),
    PanelSpec(
        "picture",
        "What the models do",
        "One picture a run, every 50 steps. Where points are told apart, colour is the class a model gives each "
        "place, paler where it is unsure. Digits stand above what a model makes of them. A trail ends at the optimum.",
        picture.draw,
        columns=12,
        height=330,
        wanted=picture.wanted,
    ),
)
"""In reading order."""

BY_ID: dict[str, PanelSpec] = {spec.id: spec for spec in PANELS}
