"""Lesson 9: factors do not age alike."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage

LESSON = Lesson(
    id="who-drifts",
    title="Who drifts?",
    question=(
        "A fixed period treats every factor alike. FOAM asks each one. In a small language model, do left factors, of "
        "the outputs of a layer, and right ones, of its inputs, ask equally often?"
    ),
    prediction=Prediction(
        "Which side is decomposed more often?",
        ("Left, the side of the outputs", "Right, the side of the inputs", "Both alike"),
        right=0,
    ),
    stages=(
        Stage(
            "FOAM on a tiny GPT",
            {"task": "tiny-gpt", "lane": ["foam:precondition=matrices", "shampoo:precondition=matrices"]},
            steps=300,
            watch="Watch the raster: rows that are often marked belong to factors that drift.",
            panels=("raster", "factor-map", "damping", "loss"),
            names=("FOAM", "f = 10"),
        ),
    ),
    why=(
        "The right factor is built from what a layer is given, the left one from what comes back to it. Activations "
        "keep their covariance while the network settles; the gradients that come back change with the loss itself.",
        "The paper reports the same order at scale: about 10 % of the fixed period's decompositions remain on the "
        "left, about 5 % on the right.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 0), "left", "more", against="right"),
        Claim(Place(0, 0), Place(0, 1), "decompositions", "less"),
    ),
    try_yourself=("Follow one factor of each side and compare the shapes of h.",),
    sources=(Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),),
)
