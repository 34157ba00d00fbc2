"""Small traces for tests of what is computed from them."""

from __future__ import annotations

import numpy as np

from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch


def infos(count: int = 2) -> tuple[FactorInfo, ...]:
    """Left and right factors of as many matrices as it takes."""
    return tuple(
        FactorInfo(id=f"{i // 2}.block_0.{i % 2}", parameter=f"{i // 2}.weight", block=0, dim=i % 2, order=2, size=8)
        for i in range(count)
    )


def run(name: str = "run", units: dict[str, str] | None = None, **given: object) -> Trace:
    """A trace; columns of steps by name, and fields of the manifest by theirs."""
    fields = {key: given.pop(key) for key in list(given) if key in Manifest.__dataclass_fields__}
    trace = Trace.empty(Manifest(run_id=name, name=name, **fields))
    if given:
        trace.append("steps", record_batch("steps", given, units))
    return trace


def checks(trace: Trace, **columns: object) -> Trace:
    """The same trace with rows of checks."""
    trace.append("checks", record_batch("checks", columns))
    return trace


def losses(count: int = 600, seed: int = 0, noise: float = 0.07) -> np.ndarray:
    """A falling, noisy training loss."""
    random = np.random.default_rng(seed)
    at = np.arange(1, count + 1)
    return (0.3 + 3 * np.exp(-at / (count / 10))) * np.exp(noise * random.standard_normal(count))
