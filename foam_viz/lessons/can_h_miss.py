"""Lesson 5: what a first-order proxy cannot see."""

from collections.abc import Mapping

from foam_viz.lessons.lesson import Calculation, Lesson, Prediction, Source


def _scaled(by: float) -> Mapping[str, float | str]:
    return {"change": "scale", "amount": by, "smallest": 1.0}


LESSON = Lesson(
    id="can-h-miss",
    title="Can h miss damage?",
    question=(
        "A factor with a flat spectrum is multiplied by c. Its true inverse root is then multiplied by 1/√c, so the "
        "stale one is off by |1/√c − 1|. The proxy h is a first-order estimate. When is it far off?"
    ),
    prediction=Prediction(
        "Gradients shrink, and c = 0.01. FOAM's threshold is τ = 0.75. Does h reach it?",
        ("Yes, at once", "No, never: h stays below 0.5 however far the factor shrinks"),
        right=1,
    ),
    sandbox=_scaled(0.01),
    calculations=(
        Calculation("At c = 4 h is 1.5", _scaled(4.0), "h", 1.5),
        Calculation("while the error is 0.5: a false alarm.", _scaled(4.0), "operator_error", 0.5),
        Calculation("At c = 0.25 h is 0.375", _scaled(0.25), "h", 0.375),
        Calculation("while the error is 1.", _scaled(0.25), "operator_error", 1.0),
        Calculation("At c = 0.01 h is 0.495", _scaled(0.01), "h", 0.495),
        Calculation("while the error is 9: missed.", _scaled(0.01), "operator_error", 9.0),
        Calculation("After grafting the update has no error at all.", _scaled(0.01), "grafted_error", 0.0),
    ),
    why=(
        "For a flat spectrum h = |c − 1| / 2. It grows without bound when the factor grows, but a factor can shrink by "
        "no more than all of it, so h can reach no more than 1/2.",
        "The true error does the opposite: it is bounded when the factor grows, and explodes when it shrinks.",
        "Does it hurt? A pure change of scale is what grafting takes out. It hurts where single directions shrink, "
        "because grafting cannot repair those.",
    ),
    try_yourself=(
        "Choose a steep spectrum: a few directions dominate the inverse root, and h changes with them.",
        "Lower τ below 0.5: now shrinking is noticed, and so is much else.",
    ),
    sources=(Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),),
)
