"""Lesson 1: what a long period costs."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Sketch, Source, Stage

FIRST, LAST = Place(0, 0), Place(0, 3)

LESSON = Lesson(
    id="how-stale",
    title="How stale is too stale?",
    question=(
        "Shampoo needs the eigenvectors of two factors, and decomposing them is expensive. So they are decomposed "
        "every f steps and used as they are in between. How long may f be before the loss notices?"
    ),
    prediction=Prediction(
        "Four runs decompose every 10, 50, 100 and 200 steps. All else is equal. Which sentence will be true after "
        "600 steps?",
        (
            "All four end at the same loss.",
            "The loss rises with the period, a little at first and clearly at 200.",
            "Only f = 10 learns; the others diverge.",
        ),
        right=1,
        sketch=Sketch("Period f, steps", 0.2, 0.5),
    ),
    stages=(
        Stage(
            "Four periods, one start",
            {
                "task": "digits-autoencoder",
                "lane": [f"shampoo:period={period},start=10" for period in (10, 50, 100, 200)],
            },
            steps=600,
            watch="Watch the curves part, and the overlap matrix smear between two decompositions.",
            panels=("loss", "overlap", "raster", "spectrum"),
            names=tuple(f"f = {period}" for period in (10, 50, 100, 200)),
        ),
    ),
    why=(
        "With β₂ = 0.99 the factor forgets quickly: after f steps a share of 1 − 0.99ᶠ of it is newer than the "
        "basis. That is 10 % at f = 10, 39 % at 50, 63 % at 100 and 87 % at 200.",
        "A stale basis still points roughly the right way, so nothing breaks. It only gives the wrong weight to "
        "directions that have moved, and the loss falls more slowly.",
        "All four runs decompose for the first time at step 10. The usual rule waits one whole period before the first "
        "decomposition. A long period would then also start late, and part of its extra loss would come from that.",
    ),
    claims=(
        Claim(Place(0, 1), FIRST, "loss", "more"),
        Claim(Place(0, 2), Place(0, 1), "loss", "more"),
        Claim(LAST, Place(0, 2), "loss", "more"),
        Claim(LAST, FIRST, "held_out", "more"),
    ),
    try_yourself=(
        "Lower β₂ to 0.95: the factor forgets faster, and staleness costs more.",
        "In the live lab, set the first decomposition of the run f = 200 to step 200: a late start adds to its loss.",
    ),
    sources=(Source("Gupta, Koren and Singer 2018: Shampoo", "https://arxiv.org/abs/1802.09568"),),
)
