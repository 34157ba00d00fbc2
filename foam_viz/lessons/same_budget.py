"""Lesson 2: who spends decompositions best."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage


def _lanes(period: int, tau: float) -> list[str]:
    """FOAM, and the others with about as many decompositions."""
    return [
        "foam:tau=0.75",
        f"shampoo:period={period},start=10",
        f"dr-shampoo:tau={tau}",
        f"shampoo-staggered:period={period},start=10",
    ]


_UNDAMPED = "epsilon=1e-9,eigenvalues={}"
"""The reference's own damping, which lies far below what float32 can tell apart: here the two rules differ."""
_NAMES = ("FOAM", "Fixed period", "Residual", "Taking turns")

LESSON = Lesson(
    id="same-budget",
    title="Same budget, who spends it better?",
    question=(
        "Suppose you can afford only a fraction of the decompositions that f = 10 makes. You may spend them at fixed "
        "intervals, on one factor after another, or where a measure says that they are needed. Does it matter?"
    ),
    prediction=Prediction(
        "FOAM decides by its measure of drift, h. The others make about as many decompositions. Which run ends with "
        "the lowest training loss?",
        ("FOAM, clearly", "The fixed period, by a few percent", "The residual, clearly"),
        right=1,
    ),
    stages=(
        Stage(
            "600 steps",
            {"task": "digits-autoencoder", "lane": _lanes(65, 0.25)},
            steps=600,
            watch="Watch the raster: FOAM's decompositions crowd at the start; those of a fixed period are even.",
            panels=("loss", "damping", "raster", "factor-map"),
            names=_NAMES,
        ),
        Stage(
            "2,000 steps",
            {"task": "digits-autoencoder", "lane": _lanes(133, 0.4)},
            steps=2000,
            watch="Watch FOAM's decompositions thin out as the gradients shrink.",
            panels=("loss", "damping", "raster", "factor-map"),
            names=_NAMES,
        ),
        Stage(
            "600 steps, shift and floor",
            {
                "task": "digits-autoencoder",
                "lane": [
                    f"{text},{_UNDAMPED.format(rule)}{',epsilon_max=3e-7' if text.startswith('foam') else ''}"
                    for rule, period in (("shift", 58), ("floor", 64))
                    for text in ("foam:tau=0.75", f"shampoo:period={period},start=10")
                ],
            },
            steps=600,
            watch="Watch the right end of the spectrum: with the shift it is rounding noise, and ε₀ = 1e-9 is too "
            "small to hide it. With the floor the end is flat.",
            panels=("loss", "spectrum", "raster", "damping"),
            names=("FOAM, shift", "Fixed period, shift", "FOAM, floor", "Fixed period, floor"),
            lane=1,
            factor=1,
        ),
    ),
    why=(
        "On this steady task there is little to adapt to, so a rule that watches every factor has little to win: the "
        "fixed period is a few percent ahead of FOAM, taking turns is level with the fixed period, and the residual is "
        "behind.",
        "In float32 the smallest eigenvalues are rounding noise. The textbook shifts all eigenvalues up, the floor "
        "cuts the noise off. The third experiment has the smallest damping, ε₀ = 1e-9, which hides none of it: no "
        "difference is seen between FOAM and the fixed period, by the shift or with the floor. The older the basis, "
        "the more the shift costs: see lesson 12.",
        "A trap: if the first decomposition waits one whole period, a fixed period of 65 starts late, and FOAM seems "
        "to win. Here all lanes start at step 10.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 1), "loss", "more"),
        Claim(Place(0, 0), Place(0, 2), "loss", "less"),
        Claim(Place(0, 3), Place(0, 1), "loss", "no difference seen"),
        Claim(Place(1, 0), Place(1, 1), "loss", "more"),
        Claim(Place(2, 0), Place(2, 1), "loss", "no difference seen"),
        Claim(Place(2, 2), Place(2, 3), "loss", "no difference seen"),
    ),
    try_yourself=(
        "In the third experiment give the fixed periods f = 200: now the shift costs more than the floor.",
        "Permute the pixels at step 400, as lesson 11 does.",
    ),
    sources=(
        Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),
        Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595"),
    ),
)
