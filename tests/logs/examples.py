"""Where real logs lie for tests that use them; they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def examples(*parts: str) -> Path:
    """Return a place among the real logs, or skip the test where there are none."""
    folder = Path(os.environ.get("FOAM_VIZ_EXAMPLE_LOGS") or ROOT.parent / "shared" / "logs").joinpath(*parts)
    if not folder.exists():
        pytest.skip(f"no real logs at {folder}; set FOAM_VIZ_EXAMPLE_LOGS")
    return folder
