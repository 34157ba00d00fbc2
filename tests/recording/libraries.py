"""Libraries of optimizers that tests read for real; see requirements-benchmarks.txt."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def library(name: str) -> ModuleType:
    """Import an optional library; without it the test is skipped, or fails where FOAM_VIZ_REQUIRE_LIBRARIES is set."""
    if os.environ.get("FOAM_VIZ_REQUIRE_LIBRARIES"):
        return importlib.import_module(name)
    return pytest.importorskip(name)
