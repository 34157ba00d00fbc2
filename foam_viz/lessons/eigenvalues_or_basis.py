"""Lesson 8: which half of a stale decomposition hurts."""

from foam_viz.lessons.lesson import Claim, Lesson, Number, Place, Prediction, Source, Stage

LESSON = Lesson(
    id="eigenvalues-or-basis",
    title="Eigenvalues or basis?",
    question=(
        "A decomposition holds eigenvalues and a basis. New eigenvalues for an old basis are cheap: the diagonal of "
        "QᵀAQ. Which half is worth renewing?"
    ),
    prediction=Prediction(
        "With old eigenvalues, a basis that is up to 100 steps old instead of 10 costs {old} more loss. What "
        "does it cost if the eigenvalues are renewed at every step?",
        ("Next to nothing", "About as much", "Much more"),
        right=1,
    ),
    stages=(
        Stage(
            "Two ways, each at its own learning rate",
            {
                "task": "digits-autoencoder",
                "lane": [
                    "shampoo:period=10,start=10",
                    "shampoo:period=100,start=10",
                    "shampoo-eigenvalue-corrected:period=100,start=10,lr=0.003",
                    "shampoo-eigenvalue-corrected:period=10,start=10,lr=0.003",
                ],
            },
            steps=600,
            watch="Watch lanes of one period side by side: they share the age of the basis and nothing else.",
            panels=("loss", "overlap", "raster", "spectrum"),
            names=(
                "Both, f = 10",
                "Neither, f = 100",
                "Eigenvalues each step, f = 100",
                "Eigenvalues each step, f = 10",
            ),
        ),
    ),
    why=(
        "An old basis costs {old} with old eigenvalues, and {new} with new ones. Here it is the basis that hurts.",
        "Eigenvalue correction replaces grafting: Adam's second moment in the eigenbasis sets the scale of each "
        "direction anew at every step, so errors of scale and of eigenvalues are gone. What is left is the turn of the "
        "basis.",
        "So ask how much each loses when its basis ages, rather than who is ahead: the learning rates differ, and "
        "each rate favours one of them. The literature says that correction helps most where there is no grafting.",
    ),
    claims=(
        Claim(Place(0, 1), Place(0, 0), "loss", "more"),
        Claim(Place(0, 2), Place(0, 3), "loss", "more"),
        Claim(Place(0, 2), Place(0, 1), "loss", "more"),
    ),
    numbers={
        "old": Number(Place(0, 1), Place(0, 0), "loss"),
        "new": Number(Place(0, 2), Place(0, 3), "loss"),
    },
    try_yourself=("Tune the learning rate of the corrected lanes: 3e-3 and 1e-2 rank differently.",),
    sources=(Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595"),),
)
