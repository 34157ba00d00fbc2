"""Lesson 6: eps_max is an allowance for new mass."""

from collections.abc import Mapping

from foam_viz.lessons.lesson import Calculation, Lesson, Prediction, Source


def _mass(amount: float, epsilon: float) -> Mapping[str, float | str]:
    return {"change": "add-mass", "amount": amount, "smallest": 1e-12, "epsilon": epsilon}


LESSON = Lesson(
    id="what-epsilon-max-means",
    title="What does εₘₐₓ mean?",
    question=(
        "FOAM raises ε to ε h / τ while h exceeds τ, and decomposes again only when ε would pass εₘₐₓ. So how far "
        "does ε jump in one check when a direction that was empty gains mass M?"
    ),
    prediction=Prediction(
        "ε₀ is made a hundred times larger. Where does ε land in the first check?",
        ("A hundred times higher", "Ten times higher", "Nearly at the same place"),
        right=2,
    ),
    sandbox=_mass(1e-3, 1e-9),
    calculations=(
        Calculation("New mass 1e-3 with ε₀ = 1e-9: ε lands at 1.65e-4.", _mass(1e-3, 1e-9), "next_epsilon", 1.651e-4),
        Calculation("With ε₀ = 1e-7, a hundred times more: 1.29e-4.", _mass(1e-3, 1e-7), "next_epsilon", 1.289e-4),
        Calculation("A tenth of the mass: a tenth of it, 1.65e-5.", _mass(1e-4, 1e-9), "next_epsilon", 1.651e-5),
    ),
    why=(
        "In an empty direction the damped eigenvalue is ε itself, so the whitened drift is M / ε and h is about "
        "α M / (p ε). The rule multiplies by ε again, and ε₀ cancels: ε lands at α M / (p τ).",
        "Read backwards, εₘₐₓ is an allowance: new mass up to p τ εₘₐₓ / α is met with damping, more of it "
        "with a decomposition. The calibration of the threshold lab derives its εₘₐₓ from this allowance.",
        "It has the unit of a gradient squared. Multiply the loss by 10, and ε₀ and εₘₐₓ must grow by 100 for the "
        "same run. A value from a paper means nothing before it stands beside the spectrum it damps.",
    ),
    try_yourself=(
        "Raise τ: the same mass needs less damping.",
        "Choose 256 rows instead of 64: α falls, and the jump is half as large.",
        "Raise the smallest eigenvalue to 1e-3: no direction is empty, h stays below τ, and ε stays where it is.",
    ),
    sources=(Source("Nam and Ahn, ICML 2026: FOAM", "https://arxiv.org/abs/2606.02365"),),
)
