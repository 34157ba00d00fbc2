"""The hyperparameters of the refresh policies, each with its range and what it means."""

from __future__ import annotations

from foam_viz.optim.fields import Constraint, Field

PERIOD = Field(
    name="period", kind="integer", default=10, low=1, high=10_000_000, label="Check period", symbol="f", unit="steps",
    logarithmic=True, help="f: every f-th step each factor is checked; the policy decides whether to decompose",
    editable=True,
)  # fmt: skip
START = Field(
    name="start", kind="integer", default=None, low=1, high=10_000_000, optional=True,
    label="First decomposition", symbol="t₀", unit="step",
    help="Step of the first check, which always decomposes; none means one period",
    fixed="what a run does first cannot be changed later; change the period instead",
)  # fmt: skip
TAU = Field(
    name="tau", kind="real", default=0.75, low=0, high=1, low_open=True, high_open=True, label="Tolerance",
    symbol="τ", help="τ: how much staleness is tolerated; larger means fewer decompositions", editable=True,
)  # fmt: skip
EPSILON = Field(
    name="epsilon", kind="real", default=1e-9, low=0, low_open=True, label="Damping of a fresh basis",
    symbol="ε₀", unit="gradient²", logarithmic=True,
    help="ε₀: added to every eigenvalue before the inverse root is taken of a fresh decomposition", editable=True,
)  # fmt: skip
EPSILON_MAX = Field(
    name="epsilon_max", kind="real", default=3e-7, low=0, low_open=True, label="Largest damping",
    symbol="εₘₐₓ", unit="gradient²", logarithmic=True,
    help="εₘₐₓ: when staleness asks for more damping than this, the factor is decomposed again", editable=True,
)  # fmt: skip
STAGGER = Field(
    name="stagger", kind="boolean", default=False, label="Taking turns",
    help="Whether the checks of the factors are spread over the steps of a period (this project's variant)",
    fixed="it makes another method",
)  # fmt: skip
DAMPING_ORDER = Constraint(
    field="epsilon_max",
    others=("epsilon",),
    holds=lambda settings: settings["epsilon_max"] >= settings["epsilon"],
    allowed="at least epsilon = {epsilon}",
)
