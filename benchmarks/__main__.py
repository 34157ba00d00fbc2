"""``python -m benchmarks [NAME ...]``: runs all benchmarks or those named; exits 1 if one missed a limit."""

from __future__ import annotations

import importlib
import sys

NAMES = ("recording", "staleness", "live_view")

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    worst = 0
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        worst = max(worst, module.main())
    sys.exit(worst)
