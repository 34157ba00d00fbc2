"""Lesson 3: the two sides of damping."""

from collections.abc import Sequence

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Sketch, Source, Stage

_EPSILONS = ("1e-9", "1e-6", "1e-5", "1e-4")
_SHIFT = "eigenvalues=shift"


def _stage(
    title: str, watch: str, period: int, more: str = "", epsilons: Sequence[str] = _EPSILONS, lane: int = 3
) -> Stage:
    lanes = [f"shampoo:period={period},start=10,epsilon={epsilon},{_SHIFT}{more}" for epsilon in epsilons]
    return Stage(
        title,
        {"task": "digits-autoencoder", "lane": lanes},
        steps=600,
        watch=watch,
        panels=("loss", "spectrum", "raster", "damping"),
        names=[f"ε = {epsilon}" for epsilon in epsilons],
        lane=lane,
    )


LESSON = Lesson(
    id="what-damping-does",
    title="What does damping do?",
    question=(
        "The inverse root divides by the square root of small eigenvalues, so small errors in them become large steps. "
        "Damping first adds ε to all eigenvalues. That makes a stale basis safer, but it drowns small directions. "
        "Which ε is best?"
    ),
    prediction=Prediction(
        "Four runs differ in ε alone, from 1e-9 to 1e-4. Their basis is up to 200 steps old, and they treat negative "
        "eigenvalues as the textbook does, by the shift. What happens to the loss as ε grows?",
        ("It falls with ε all the way.", "It rises with ε all the way.", "It falls, then rises: a U."),
        right=2,
        sketch=Sketch("Damping ε, gradient²", 0.2, 0.5),
    ),
    stages=(
        _stage(
            "A stale basis, f = 200",
            "Watch the shaded band of the spectrum: directions under ε are switched off. Click another run to compare.",
            200,
        ),
        _stage("A fresher basis, f = 50", "Watch how little ε matters until it is large.", 50),
        _stage(
            "Without grafting, f = 50, lr 1e-3",
            "Watch the lanes with the smallest ε: without grafting nothing limits the length of a step.",
            50,
            ",grafting=none,lr=0.001",
            ("1e-4", "1e-3", "1e-2", "1e-1"),
            lane=2,
        ),
    ),
    why=(
        "Left of the U a few directions with tiny eigenvalues are amplified by 1/√ε. Their eigenvalues are mostly "
        "rounding in float32, and their eigenvectors are stale, so the amplified steps point nowhere useful.",
        "Right of the U the damping drowns directions that matter: the method becomes gradient descent with grafting.",
        "With a fresher basis there is less to repair, so the left side of the U is gone. Without grafting the length "
        "of the step is the preconditioner's own, and too little damping lets it explode.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 1), "loss", "more"),
        Claim(Place(0, 3), Place(0, 1), "loss", "more"),
        Claim(Place(1, 3), Place(1, 0), "loss", "more"),
        Claim(Place(2, 0), Place(2, 2), "loss", "more"),
    ),
    try_yourself=(
        "Set eigenvalues = floor: the left side of the U flattens, because the floor does part of what ε does.",
        "Choose precision float64: what is left of the U is staleness alone.",
    ),
    sources=(Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),),
)
