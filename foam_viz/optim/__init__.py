"""Shampoo and its refresh policies: a library of its own. Exports are lazy: the catalogue is read without torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "Shampoo": "shampoo",
    "SOAP": "soap",
    "EigenvalueCorrectedShampoo": "eigenvalue_corrected",
    "FactoredOptimizer": "factored",
    "KLShampoo": "kl",
    "KLSOAP": "kl",
    "SPlus": "splus",
    "MuonWithAdamW": "muon",
    "Factor": "factor",
    "FactorEvent": "factor",
    "CheckObservation": "factor",
    "OPTIMIZERS": "catalogue",
    "OptimizerSpec": "catalogue",
    "find": "catalogue",
    "Field": "fields",
    "FieldError": "fields",
    "Decision": "refresh",
    "Policy": "refresh",
    "EveryCheck": "refresh",
    "Foam": "refresh",
    "FoamFixedDamping": "refresh",
    "FoamFreshEigenvalues": "refresh",
    "FoamNoRefresh": "refresh",
    "DiagonalizationResidual": "refresh",
}
__all__ = list(_EXPORTS)  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
