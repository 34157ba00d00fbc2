"""Lesson 11: a burst of drift."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage

LESSON = Lesson(
    id="when-the-world-changes",
    title="When the world changes",
    question=(
        "At step 400 the pixels of all images are permuted. Everything that the factors of the first layer have "
        "learned is wrong at once. Which optimizer notices, and which one sleeps through it?"
    ),
    prediction=Prediction(
        "Fixed periods decompose at their own times. What does FOAM do just after step 400?",
        ("Nothing special", "It decomposes many factors within a few checks", "It stops decomposing"),
        right=1,
    ),
    stages=(
        Stage(
            "A permutation at step 400 of 800",
            {
                "task": "digits-autoencoder",
                "shift_at": "400",
                "lane": ["foam", *(f"shampoo:period={period},start=10" for period in (10, 50, 200))],
            },
            steps=800,
            watch="Watch the raster and the damping of the first layer just after step 400.",
            panels=("raster", "damping", "loss", "overlap"),
            names=("FOAM", "f = 10", "f = 50", "f = 200"),
            after=450,
        ),
    ),
    why=(
        "h jumps in every factor that the pixels reach, ε would pass εₘₐₓ, and FOAM decomposes. A fixed period of 200 "
        "goes on for up to 200 steps with the basis of a world that is gone.",
        "Here an adaptive rule has something to adapt to. In a steady run there is little, and a fixed period with as "
        "many decompositions does as well.",
    ),
    claims=(
        Claim(Place(0, 3), Place(0, 0), "after", "more"),
        Claim(Place(0, 2), Place(0, 0), "after", "more"),
        Claim(Place(0, 0), Place(0, 1), "after", "more"),
        Claim(Place(0, 0), Place(0, 1), "decompositions", "less"),
    ),
    try_yourself=("Move the permutation to step 100, when all factors still drift.",),
    sources=(Source("findings of this project: the burst, on fresh seeds"),),
)
