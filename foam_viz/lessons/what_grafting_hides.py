"""Lesson 7: grafting takes out what is wrong with the length of a step."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage

LESSON = Lesson(
    id="what-grafting-hides",
    title="What does grafting hide?",
    question=(
        "With grafting the direction comes from Shampoo and the length from Adam. A stale inverse root that is too "
        "large or too small is then harmless. How much of what staleness costs does grafting hide?"
    ),
    prediction=Prediction(
        "f goes from 10 to 100, once with grafting and once without. Where does the loss rise more?",
        ("With grafting", "Without grafting", "Alike"),
        right=1,
    ),
    stages=(
        Stage(
            "With and without",
            {
                "task": "digits-autoencoder",
                "lane": [
                    "shampoo:period=10,start=10",
                    "shampoo:period=100,start=10",
                    "shampoo:period=10,start=10,grafting=none,lr=0.001,epsilon=1e-4",
                    "shampoo:period=100,start=10,grafting=none,lr=0.001,epsilon=1e-4",
                ],
            },
            steps=600,
            watch="Watch the two lanes without grafting after each decomposition.",
            panels=("loss", "damping", "raster", "spectrum"),
            names=("Grafted, f = 10", "Grafted, f = 100", "Ungrafted, f = 10", "Ungrafted, f = 100"),
        ),
    ),
    why=(
        "Where gradients grow after a decomposition, the stale inverse root is too large, and ungrafted steps are too "
        "long: with a basis up to 100 steps old the ungrafted run diverges. Adam's length does not depend on the "
        "basis.",
        "So grafting hides errors of scale, and keeps those of direction. h and the error of the inverse root count "
        "both: with grafting they ring for damage that the update never sees.",
    ),
    claims=(
        Claim(Place(0, 1), Place(0, 0), "loss", "more"),
        Claim(Place(0, 3), Place(0, 2), "loss", "more"),
        Claim(Place(0, 2), Place(0, 0), "loss", "more"),
    ),
    try_yourself=("Give the ungrafted lanes ε = 1e-6: they diverge.",),
    sources=(
        Source("Agarwal et al. 2020: grafting", "https://arxiv.org/abs/2002.11803"),
        Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595"),
    ),
)
