"""Lesson 10: decompositions are not time."""

from foam_viz.lessons.lesson import Claim, Lesson, Number, Place, Prediction, Source, Stage


def _stage(width: int, steps: int) -> Stage:
    return Stage(
        f"Width {width}",
        {"task": "digits-autoencoder", "width": str(width), "lane": ["foam", "shampoo:period=10", "shampoo:period=20"]},
        steps=steps,
        watch="Watch the seconds in the table of runs beside the count of decompositions.",
        panels=("loss", "cost", "raster", "damping"),
        names=("FOAM", "f = 10", "f = 20"),
    )


LESSON = Lesson(
    id="fewer-faster",
    title="Fewer decompositions, faster?",
    question=(
        "FOAM leaves out most decompositions, but each of its checks costs a rotation and a rebuild of the inverse "
        "root. Is it faster?"
    ),
    prediction=Prediction(
        "FOAM makes {share} of the decompositions of f = 10. At width 32, how much optimizer time does it save?",
        ("Three quarters", "About half", "Next to nothing"),
        right=2,
    ),
    stages=(_stage(32, 300), _stage(256, 200)),
    why=(
        "A check measures B = QᵀAQ and rebuilds the inverse root: three products of matrices of the factor's size. For "
        "small factors that costs as much as a decomposition; for large ones less than half of one.",
        "Between checks every step pays for statistics and for applying the roots, under every rule. So {share} of the "
        "decompositions is never {share} of the time.",
        "FOAM checks each factor every 10 steps, so its checks alone outnumber all decompositions of f = 20.",
    ),
    claims=(
        Claim(Place(0, 0), Place(0, 1), "decompositions", "less"),
        Claim(Place(1, 0), Place(1, 1), "decompositions", "less"),
        Claim(Place(0, 0), Place(0, 2), "checks", "more", against="decompositions"),
    ),
    numbers={"share": Number(Place(0, 0), Place(0, 1), "decompositions", "share")},
    try_yourself=("Choose width 512 and wait: the larger the factors, the more a decomposition costs.",),
    sources=(Source("findings of this project: unit costs, stacked"),),
)
