"""The hyperparameters of the optimizers themselves, each with its range and what it means."""

from __future__ import annotations

from dataclasses import replace

from foam_viz.optim.fields import Field
from foam_viz.optim.refresh_fields import PERIOD

# Why a setting stays as it is while a run trains.
DECAYS = "the mean that it decays, and its bias correction, are those of one decay over the whole run"
SHAPES = "it shapes the state that the optimizer has kept since its first step"

LR = Field(
    name="lr", kind="real", default=1e-2, low=0, high=1e6, label="Learning rate", symbol="lr", logarithmic=True,
    help="lr: length of a step; with grafting, the same scale as for the method grafted from", editable=True,
)  # fmt: skip
BETA1 = Field(
    name="beta1", kind="real", default=0.9, low=0, high=1, high_open=True, label="Momentum", symbol="β₁",
    help="β₁: decay of the first moment of the gradient", fixed=DECAYS,
)  # fmt: skip
BETA2 = Field(
    name="beta2", kind="real", default=0.99, low=0, high=1, low_open=True, label="Factor decay", symbol="β₂",
    help="β₂: decay of the factor statistics; 1 means a plain sum", fixed=DECAYS,
)  # fmt: skip
WEIGHT_DECAY = Field(
    name="weight_decay", kind="real", default=0.0, low=0, high=1e6, label="Weight decay", symbol="wd",
    help="wd: decoupled weight decay, W <- W - lr wd W", editable=True,
)  # fmt: skip
ROOT = Field(
    name="root", kind="integer", default=2, low=1, high=8, optional=True, label="Root", symbol="p",
    help="p: factors enter with the power -1/p; none means twice the number of dimensions", fixed=SHAPES,
)  # fmt: skip
EIGENVALUES = Field(
    name="eigenvalues", kind="choice", default="floor", choices=("floor", "shift"), label="Smallest eigenvalues",
    help="Computed eigenvalues near 0 are rounding: floor raises each to machine epsilon times the largest, shift "
    "lifts all by the most negative one, as the FOAM reference does", fixed=SHAPES,
)  # fmt: skip
GRAFTING = Field(
    name="grafting", kind="choice", default="adam", choices=(None, "sgd", "adam"), label="Grafting",
    help="The method that gives the step its length; Shampoo gives the direction", editable=True,
)  # fmt: skip
GRAFTING_BETA2 = Field(
    name="grafting_beta2", kind="real", default=None, low=0, high=1, low_open=True, optional=True,
    label="Grafting decay", symbol="β_g", help="Decay of Adam grafting's second moment; none means β₂", fixed=DECAYS,
)  # fmt: skip
GRAFTING_EPSILON = Field(
    name="grafting_epsilon", kind="real", default=1e-8, low=0, low_open=True, label="Grafting epsilon",
    symbol="ε_g", unit="gradient", logarithmic=True, help="ε_g: added to Adam grafting's denominator", editable=True,
)  # fmt: skip
MAX_DIM = Field(
    name="max_preconditioner_dim", kind="integer", default=1024, low=1, high=1_000_000, label="Largest factor",
    unit="rows", help="Dimensions larger than this are cut into blocks, each with its own factors", fixed=SHAPES,
)  # fmt: skip
MERGE_DIMS = Field(
    name="merge_dims", kind="boolean", default=False, label="Merge small dimensions",
    help="Whether neighbouring dimensions are merged while their product stays within the largest factor",
    fixed=SHAPES,
)  # fmt: skip
PRECONDITION = Field(
    name="precondition", kind="choice", default="all", choices=("all", "matrices", "none"),
    label="Preconditioned", help="all parameters, hidden matrices only (the rest by AdamW), or none (AdamW)",
    fixed=SHAPES,
)  # fmt: skip

# What the constructor of Shampoo checks, group by group; betas arrive there as a pair.
SHAMPOO_FIELDS = (
    LR, BETA1, BETA2, WEIGHT_DECAY, ROOT, EIGENVALUES, GRAFTING, GRAFTING_BETA2, GRAFTING_EPSILON, MAX_DIM,
    MERGE_DIMS, PRECONDITION,
)  # fmt: skip

# What the constructor of SOAP checks; the catalogue offers its period as the policy's.
SOAP_FIELDS = (
    replace(LR, default=3e-3, help="lr: length of a step"),
    replace(BETA1, default=0.95, help="β₁: decay of the first moment of the rotated gradient"),
    replace(
        BETA2, default=0.95, high_open=True, label="Second-moment decay",
        help="β₂: decay of the second moment of the rotated gradient",
    ),
    Field(
        name="shampoo_beta", kind="real", default=None, low=0, high=1, high_open=True, optional=True,
        label="Factor decay", symbol="βₛ", help="βₛ: decay of the factor statistics; none means β₂",
        fixed=DECAYS,
    ),
    replace(GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator"),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="Dimensions larger than this have no factor and are not rotated"),
    Field(
        name="precondition_1d", kind="boolean", default=False, label="Precondition vectors",
        help="Whether vectors have a factor too; without, they are updated by plain Adam", fixed=SHAPES,
    ),
    PRECONDITION,
)  # fmt: skip
SOAP_SETTINGS = (*SOAP_FIELDS, PERIOD)

# Eigenvalue-corrected Shampoo: no grafting and no damping.
CORRECTED_FIELDS = (
    replace(LR, help="lr: length of a step"), BETA1,
    replace(BETA2, help="β₂: decay of the factor statistics and of the second moment in their basis"),
    replace(GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator"),
    WEIGHT_DECAY, MAX_DIM, MERGE_DIMS, PRECONDITION,
)  # fmt: skip

# KL-Shampoo and KL-SOAP: eigenvalues of their own, no damping.
KL_FIELDS = (
    replace(LR, default=3e-3, help="lr: length of a step"), BETA1,
    replace(
        BETA2, default=0.98, high_open=True, help="β₂: decay of the factors, of their eigenvalues and of v"
    ),
    replace(
        GRAFTING_EPSILON, name="eps", label="Epsilon", symbol="ε", help="ε: added to the denominator, √(l r) or √v",
        unit="",
    ),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="Parameters with a larger side have no factors and are updated by Adam"),
    PRECONDITION,
)  # fmt: skip

SPLUS_FIELDS = (
    replace(LR, default=0.1, help="lr: length of a step, times 2 / (rows + columns) for a matrix"), BETA1,
    replace(BETA2, default=0.999, high_open=True, help="β₂: decay of the factor statistics"),
    Field(
        name="ema", kind="real", default=0.999, low=0, high=1, high_open=True, label="Mean of weights", symbol="c",
        help="c: decay of the mean of the weights, with which the model is evaluated; 0 evaluates the weights",
        fixed=DECAYS,
    ),
    replace(WEIGHT_DECAY, default=0.01),
    replace(MAX_DIM, default=10_000, help="A side as large as this has no basis"),
    PRECONDITION,
)  # fmt: skip
