"""Lesson 9: factors do not age alike."""

from foam_viz.lessons.lesson import Claim, Lesson, Place, Prediction, Source, Stage

LESSON = Lesson(
    id="who-drifts",
    title="Who drifts?",
    question=(
        "A fixed period treats all factors alike; FOAM decides for each one. In a small language model, are left "
        "factors, those of a layer's outputs, and right factors, those of its inputs, decomposed equally often?"
    ),
    prediction=Prediction(
        "Which side is decomposed more often?",
        ("Left, the side of the outputs", "Right, the side of the inputs", "Both alike"),
        right=2,
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
        "Here both sides are decomposed about equally often: over five seeds no difference is seen. Single layers "
        "differ more than the sides do, as the raster shows.",
        "At scale, notes on the paper report a clear order: about 10 % of the fixed period's decompositions remain on "
        "the left, about 5 % on the right. A model of two layers and 300 steps does not show that, and does "
        "not contradict it.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 0), "left", "no difference seen", against="right"),
        Claim(Place(0, 0), Place(0, 1), "decompositions", "less"),
    ),
    try_yourself=("Follow one factor of each side and compare the shapes of h.",),
    sources=(Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),),
)
