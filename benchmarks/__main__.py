"""``python -m benchmarks [NAME ...]``: runs all benchmarks or those named; exits 1 if one missed a limit.

``equal_budget`` (half an hour), ``precision``, ``fresh_seeds`` (an hour each), ``neighbours`` (ten minutes) and
``refresh_cost`` (minutes) are studies without limits: they run when named. So do ``classroom``, ``following``,
``lessons`` (minutes), ``device`` (four minutes at most) and ``optimizers`` (six minutes), which needs
requirements-benchmarks.txt.
"""

from __future__ import annotations

import importlib
import sys

NAMES = ("recording", "writer", "logs", "staleness", "replay", "live_view")

if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    worst = 0
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        worst = max(worst, module.main())
    sys.exit(worst)
