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
    ),
    why=(
        "On this steady task there is little to adapt to, so a rule that watches every factor has little to win: the "
        "fixed period is a few percent ahead of FOAM, taking turns is level with the fixed period, and the residual is "
        "behind.",
        "In float32 much of what adaptive damping wins is numerical stability: it lifts the smallest eigenvalues, "
        "which are rounding noise. The floor for eigenvalues, on by default here, gives the fixed period the same "
        "stability. Set eigenvalues to shift and compare again.",
        "A trap: if the first decomposition waits one whole period, a fixed period of 65 starts late, and FOAM seems "
        "to win. Here all lanes start at step 10.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 1), "loss", "more"),
        Claim(Place(0, 0), Place(0, 2), "loss", "less"),
        Claim(Place(0, 3), Place(0, 1), "loss", "no difference seen"),
        Claim(Place(1, 0), Place(1, 1), "loss", "more"),
    ),
    try_yourself=(
        "Set eigenvalues = shift in all lanes: the numerical stability of damping becomes visible.",
        "Permute the pixels at step 400, as lesson 11 does.",
    ),
    sources=(
        Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),
        Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595"),
    ),
)
