"""Figures of the papers, in small: what the paper found, what was measured here, and where they differ.

Numbers measured here come from the lessons (seeds 30 to 34, see :mod:`foam_viz.lessons.measured`) or from
docs/findings.md, or from runs of the figure's own (seeds 30 to 34); never from memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from foam_viz.lessons.lesson import Measure, Place, Source, Stage

Verdict = Literal["agrees", "agrees in part", "differs"]


@dataclass(frozen=True)
class Dot:
    """A point of a figure: the mean of five seeds of a lane.

    Attributes:
        study: Id of the lesson, or of the figure, that trained it.
        place: The lane.
        label: Its name in the figure.
        group: Dots of one group have one colour.
    """

    study: str
    place: Place
    label: str
    group: str


@dataclass(frozen=True)
class Measured:
    """A point whose numbers stand in docs/findings.md: ``key`` names the runs in ``file``, a test compares."""

    label: str
    group: str
    x: float
    y: float
    file: str = ""
    key: str = ""


@dataclass(frozen=True)
class PaperFigure:
    """A figure.

    Attributes:
        id: Stable name.
        paper: Where the original stands.
        title: What it shows.
        paper_found: What the paper says, in words; no number that is not public.
        found_here: What was measured here.
        verdict: Whether the two agree.
        note: What to keep in mind: scale, seeds, what differs in the set-up.
        dots: Points, of ``x`` and ``y``.
        x, y: What the axes show.
        measured: Points that the findings hold.
        curve: What of a recorded sample is drawn instead of points.
        samples: File names of the samples, by label.
        live: The experiment as a link writes it, to run it here; the first of the stages where there are any.
        stages: Experiments of the figure's own, measured by ``python -m benchmarks lessons --figure=ID --write``.
    """

    id: str
    paper: Source
    title: str
    paper_found: str
    found_here: str
    verdict: Verdict
    note: str
    dots: Sequence[Dot] = ()
    x: Measure = "decompositions"
    y: Measure = "loss"
    measured: Sequence[Measured] = ()
    curve: Literal["", "damping", "rates", "kinds"] = ""
    samples: Mapping[str, str] = field(default_factory=dict)
    live: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stages: Sequence[Stage] = ()


_FOAM = Source("Nam and Ahn 2026: FOAM", "https://arxiv.org/abs/2606.02365")
_SOAP = Source("Vyas et al. 2024: SOAP", "https://arxiv.org/abs/2409.11321")
_PURIFYING = Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595")
_SMALL = "One small autoencoder, 600 steps, five seeds, one learning rate, with grafting: this refutes no paper."
_PERIODS = (10, 50, 100, 200)
_RULES = ("residual", "FOAM")
_ACCURATE = ("f = 10 always", "f = 10 early", "f = 10 late", "f = 100 always")


def _periods(group: str) -> tuple[Dot, ...]:
    return tuple(Dot("how-stale", Place(0, lane), f"f = {period}", group) for lane, period in enumerate(_PERIODS))


FIGURES: tuple[PaperFigure, ...] = (
    PaperFigure(
        "quality-against-cost", _FOAM, "Quality against cost",
        "FOAM keeps the quality of frequent decomposition with more than 80 % fewer of them.",
        "FOAM leaves out as many, and pays with loss. The fixed period with as many decompositions is a little ahead "
        "of it on all five seeds; between FOAM and taking turns no difference is seen on this steady task.",
        "agrees in part", f"{_SMALL} After a burst of drift FOAM is ahead of its fixed period: see lesson 11.",
        dots=(
            *_periods("fixed period"),
            Dot("same-budget", Place(0, 1), "fixed period", "fixed period"),
            Dot("same-budget", Place(0, 0), "FOAM", "FOAM"),
            Dot("same-budget", Place(0, 2), "residual", "residual"),
            Dot("same-budget", Place(0, 3), "taking turns", "taking turns"),
        ),
        live={"task": ["digits-autoencoder"], "lane": ["foam", "shampoo", "shampoo:period=100,start=10"]},
    ),
    PaperFigure(
        "rates-over-time", _FOAM, "Decompositions of left and right factors over time",
        "The rate falls after the start and stays lower; left factors are decomposed more often than right ones: about "
        "10 % and 5 % of a fixed period's decompositions remain (public reading notes of the paper).",
        "The rate falls after the start here, too. Left and right lie close together.",
        "agrees in part", "One recorded seed; lesson 9 counts five seeds of a tiny GPT and sees no clear order.",
        curve="rates", samples={"FOAM": "digits-autoencoder-foam.zip"},
        live={"task": ["digits-autoencoder"], "lane": ["foam"]},
    ),
    PaperFigure(
        "ablation", _FOAM, "What adaptive damping and the refresh each do alone",
        "Both parts are needed: without adaptive damping more decompositions, without the refresh worse quality.",
        "Without adaptive damping FOAM decomposes more than twice as often, and its loss is a few percent lower. "
        "Without the refresh each factor is decomposed once, and the loss is about two thirds higher.",
        "agrees", f"{_SMALL} f = 10 stands beside them as the yardstick.",
        dots=tuple(
            Dot("ablation", Place(0, lane), name, name)
            for lane, name in enumerate(("FOAM", "no adaptive damping", "no refresh", "f = 10"))
        ),
        stages=(
            Stage(
                "FOAM and its parts",
                {"task": "digits-autoencoder", "lane": ["foam", "foam-fixed-damping", "foam-no-refresh", "shampoo"]},
                steps=600,
                names=("FOAM", "no adaptive damping", "no refresh", "f = 10"),
            ),
        ),
    ),
    PaperFigure(
        "sawtooth", _FOAM, "The sawtooth of the damping",
        "Damping rises while a basis ages and falls back to ε₀ at each decomposition.",
        "The same, in each factor at its own pace.",
        "agrees", "One factor of one recorded seed, the first layer's left one.",
        curve="damping", samples={"FOAM": "digits-autoencoder-foam.zip"},
        live={"task": ["digits-autoencoder"], "lane": ["foam"]},
    ),
    PaperFigure(
        "soap-against-period", _SOAP, "Final loss against the period, Shampoo and SOAP",
        "Nearly equal at f = 1; both degrade as f grows, Shampoo faster.",
        "SOAP starts lower and ages faster: at f = 100 it is behind Shampoo on all five seeds.",
        "differs", "Digits, seeds 20 to 24, lr 5e-3, eigenvalues with the floor; the paper trains language models.",
        measured=(
            Measured("Shampoo", "Shampoo", 10, 0.262, "neighbours", "digits 600 shampoo period=10"),
            Measured("Shampoo", "Shampoo", 100, 0.291, "neighbours", "digits 600 shampoo period=100"),
            Measured("SOAP", "SOAP", 10, 0.255, "neighbours", "digits 600 soap period=10"),
            Measured("SOAP", "SOAP", 100, 0.299, "neighbours", "digits 600 soap period=100"),
        ),
        live={
            "task": ["digits-autoencoder"],
            "lane": ["shampoo:period=100,start=10,lr=0.005", "soap:period=100,lr=0.005", "soap:period=10,lr=0.005"],
        },
    ),
    PaperFigure(
        "overhead", _SOAP, "Overhead against the period",
        "The optimizer's overhead falls as the period grows, and levels off at the cost of the products.",
        "The same: from f = 10 to f = 200 the optimizer's CPU seconds fall by a third, while decompositions fall by "
        "more than nine tenths.",
        "agrees", "CPU seconds of a shared machine: compare the shape, not the values.",
        dots=_periods("fixed period"), y="seconds",
        live={"task": ["digits-autoencoder"], "lane": ["shampoo", "shampoo:period=200,start=10"]},
    ),
    PaperFigure(
        "grafting", _PURIFYING, "Grafted, ungrafted, eigenvalue-corrected",
        "Eigenvalue correction does the work that grafting did, across learning rates.",
        "Without grafting a long period diverges. Correction is stable without it, and ages as much as Shampoo does.",
        "agrees in part", "One learning rate for each method; across learning rates it was not measured.",
        dots=(
            Dot("what-grafting-hides", Place(0, 0), "f = 10", "grafted"),
            Dot("what-grafting-hides", Place(0, 1), "f = 100", "grafted"),
            Dot("what-grafting-hides", Place(0, 2), "f = 10", "ungrafted"),
            Dot("what-grafting-hides", Place(0, 3), "f = 100", "ungrafted"),
            Dot("eigenvalues-or-basis", Place(0, 3), "f = 10", "eigenvalue-corrected"),
            Dot("eigenvalues-or-basis", Place(0, 2), "f = 100", "eigenvalue-corrected"),
        ),
        live={
            "task": ["digits-autoencoder"],
            "lane": ["shampoo", "shampoo:grafting=none,lr=0.001", "shampoo-eigenvalue-corrected:lr=0.003"],
        },
    ),
    PaperFigure(
        "kinds-of-parameter", _PURIFYING, "Refreshes by kind of parameter",
        "An adaptive criterion spends its refreshes unevenly over kinds of parameters.",
        "The residual decomposes factors of norms and biases more than one and a half times as often as those of "
        "matrices. FOAM does so to a lesser degree on the digits, and the other way round on tiny GPT.",
        "agrees", "Two small models, five seeds, τ at its default. Kinds are parameters by name, over all layers.",
        curve="kinds",
        stages=(
            Stage("Tiny GPT", {"task": "tiny-gpt", "lane": ["dr-shampoo", "foam"]}, steps=300, names=_RULES),
            Stage("Digits", {"task": "digits-autoencoder", "lane": ["dr-shampoo", "foam"]}, steps=600, names=_RULES),
        ),
    ),
    PaperFigure(
        "early-or-late", _PURIFYING, "Accurate bases early or late",
        "Accurate bases matter most early in training.",
        "No clear order: accurate bases in the first half are ahead on four of five seeds, by a little. Either half "
        "wins back more than a third of what f = 100 loses.",
        "agrees in part", f"{_SMALL} Two lanes change their period at step 300, as an edit of the run.",
        dots=tuple(Dot("early-or-late", Place(0, lane), name, name) for lane, name in enumerate(_ACCURATE)),
        stages=(
            Stage(
                "Accurate bases early or late",
                {
                    "task": "digits-autoencoder",
                    "lane": ["shampoo", "shampoo", "shampoo:period=100,start=10", "shampoo:period=100,start=10"],
                    "edit": ["300:2:period=100", "300:3:period=10"],
                },
                steps=600,
                names=_ACCURATE,
            ),
        ),
    ),
)  # fmt: skip
"""In the order of the papers."""
