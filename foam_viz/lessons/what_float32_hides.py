"""Lesson 12: staleness and rounding."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage

_PAIR = [
    "shampoo:period={},start=10,epsilon=1e-9,eigenvalues=shift",
    "shampoo:period={},start=10,epsilon=1e-9,eigenvalues=floor",
]


def _stage(title: str, precision: str) -> Stage:
    return Stage(
        title,
        {
            "task": "digits-autoencoder",
            "precision": precision,
            "lane": [text.format(period) for period in (10, 200) for text in _PAIR],
        },
        steps=600,
        watch="Watch the right end of the spectrum. Some pixels are always 0: their eigenvalues are 0, or rounding "
        "noise above it. With the floor the end is flat.",
        panels=("loss", "spectrum", "raster", "damping"),
        names=("Shift, f = 10", "Floor, f = 10", "Shift, f = 200", "Floor, f = 200"),
        lane=2,
        factor=1,
    )


LESSON = Lesson(
    id="what-float32-hides",
    title="What does float32 hide?",
    question=(
        "In float32 the smallest computed eigenvalues of a factor are rounding noise, and some are negative. The "
        "textbook shifts all of them up until the smallest is 0. A long period seems to cost loss. "
        "Is that really staleness?"
    ),
    prediction=Prediction(
        "f = 200 ends with a higher loss than f = 10. How much of the difference is left when small eigenvalues get a "
        "floor instead of a shift?",
        ("All of it", "A good part of it, but clearly less", "Nothing"),
        right=1,
    ),
    stages=(_stage("Float32", "float32"), _stage("Float64, the judge", "float64")),
    why=(
        "After the shift one direction of pure noise has eigenvalue 0, so the inverse root amplifies it by 1/√ε₀, more "
        "than any real direction. In the next decomposition another one is chosen. The older the basis, the longer one "
        "wrong direction is amplified.",
        "The floor says that no eigenvalue is smaller than what float32 can resolve: 2⁻²³ of the largest. "
        "In float64 that noise is hundreds of millions of times lower. Float64 is the judge, and it agrees with "
        "the floor.",
        "So part of what this app, and every float32 Shampoo, shows as staleness is rounding. Damping repairs much of "
        "it.",
    ),
    claims=(
        Claim(Place(0, 2), Place(0, 3), "loss", "more"),
        Claim(Place(0, 3), Place(0, 1), "loss", "more"),
        Claim(Place(0, 2), Place(1, 2), "loss", "more"),
        Claim(Place(0, 0), Place(0, 1), "loss", "no difference seen"),
    ),
    try_yourself=("Choose ε = 1e-6 in all lanes: damping does what the floor does.",),
    sources=(Source("findings of this project: shift, floor and float64"),),
)
