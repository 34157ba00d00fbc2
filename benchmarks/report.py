"""Figures beside their limits: one way to print them, one way to fail."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field


@dataclass
class Report:
    """Collects figures; :meth:`finish` says whether a limit was missed."""

    title: str
    figures: list[dict] = field(default_factory=list)

    def add(self, name: str, value: float, limit: str = "", ok: bool = True) -> None:
        """Prints one figure.

        Args:
            name: What was measured, with its unit.
            value: The figure.
            limit: The limit in words; empty for a figure without one.
            ok: Whether the limit is kept.
        """
        self.figures.append({"name": name, "value": value, "limit": limit, "ok": bool(ok)})
        mark = "" if not limit else ("   ok" if ok else "   MISSED")
        print(f"  {name:<66} {value:>10.4g}   {limit}{mark}", flush=True)

    def at_most(self, name: str, value: float, limit: float) -> None:
        self.add(name, value, f"at most {limit:g}", value <= limit)

    def at_least(self, name: str, value: float, limit: float) -> None:
        self.add(name, value, f"at least {limit:g}", value >= limit)

    def finish(self) -> int:
        """0, or 1 where a limit was missed; ``--json`` prints every figure as one JSON line."""
        missed = [figure["name"] for figure in self.figures if not figure["ok"]]
        if "--json" in sys.argv:
            print(json.dumps({"title": self.title, "figures": self.figures}))
        if missed:
            print(f"  missed: {'; '.join(missed)}", file=sys.stderr)
        return 1 if missed else 0
