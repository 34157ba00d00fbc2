"""Lesson 4: measures of staleness disagree."""

from foam_viz.lessons.lesson import Calculation, Lesson, Prediction, Source

_TOP, _BOTTOM = {"change": "turn-top"}, {"change": "turn-bottom"}

LESSON = Lesson(
    id="which-alarm",
    title="Which alarm is right?",
    question=(
        "A factor of 64 rows has eigenvalues from 1 down to 1e-6. After it was decomposed, two of its directions turn "
        "by 45 degrees into each other: two large ones, or two small ones. Which alarm notices?"
    ),
    prediction=Prediction(
        "Two small directions turn. The diagonalization residual r is the share of the factor that the old basis "
        "leaves off the diagonal. What does this alarm do?",
        ("It rings as loudly as for two large ones.", "It rings half as loudly.", "It stays silent."),
        right=2,
    ),
    sandbox={"change": "turn-bottom"},
    calculations=(
        Calculation("Turning large directions: the residual is 0.348.", _TOP, "residual", 0.348),
        Calculation("Turning small ones: the residual is 2.0e-6. It is silent.", _BOTTOM, "residual", 2.01e-6),
        Calculation(
            "The error of the inverse root is the other way round: 6.2e-4 at the top", _TOP, "operator_error", 6.23e-4
        ),
        Calculation("and 0.259 at the bottom, where the inverse root is large.", _BOTTOM, "operator_error", 0.259),
        Calculation("FOAM's h rings equally for both: 0.622 at the top", _TOP, "h", 0.622),
        Calculation("and 0.621 at the bottom.", _BOTTOM, "h", 0.621),
        Calculation("The update suffers equally from both: 0.134 at the top", _TOP, "update_error", 0.134),
        Calculation("and 0.134 at the bottom.", _BOTTOM, "update_error", 0.134),
        Calculation("Scale the factor by 4: h is 5.32,", {"change": "scale", "amount": 4.0}, "h", 5.32),
        Calculation("the residual 0,", {"change": "scale", "amount": 4.0}, "residual", 0.0),
        Calculation(
            "and after grafting the update is the same: cosine 1.", {"change": "scale", "amount": 4.0}, "cosine", 1.0
        ),
    ),
    why=(
        "The residual weighs by eigenvalue: it sees what carries the energy of the factor. The error of the inverse "
        "root weighs by the inverse root: it sees the bottom. The update multiplies the two, so it suffers equally "
        "from both.",
        "h whitens the drift first, so each direction counts by how much it changed relative to itself. That is why it "
        "follows the update here.",
        "A pure change of scale rings h loudest of all, although grafting makes it harmless. An alarm can be right "
        "about the operator and wrong about the update.",
    ),
    try_yourself=(
        "Move the two directions next to each other: near-equal eigenvalues may mix freely, and every alarm nearly "
        "falls silent.",
        "Swap two small eigenvalues: the basis is as it was, the residual is 0, and still the inverse root is wrong.",
    ),
    sources=(
        Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),
        Source("Eschenhagen et al. 2025: Purifying Shampoo", "https://arxiv.org/abs/2506.03595"),
    ),
)
