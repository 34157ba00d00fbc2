"""Made-up traces that look like recorded runs: for tests of everything that only reads traces.

The numbers follow the rules of the refresh policies, so decisions, damping and counts agree with each other;
loss, drift and spectra are invented. A run grows by `advance`, as a live one does.
"""

from __future__ import annotations

import numpy as np

from foam_viz.trace import FactorInfo, Manifest, Trace, record_batch

WIDTHS = (64, 128, 64, 16, 64, 128, 64)
"""An autoencoder: six linear layers, 18 factors."""

SETTINGS: dict[str, dict[str, object]] = {
    "foam": {"lr": 1e-2, "period": 10, "start": 10, "tau": 0.75, "epsilon": 1e-9, "epsilon_max": 3e-7},
    "shampoo": {"lr": 1e-2, "period": 50, "start": 10, "epsilon": 1e-9},
    "dr-shampoo": {"lr": 1e-2, "period": 10, "start": 10, "tau": 0.2, "epsilon": 1e-9},
    "adamw": {"lr": 1e-2, "weight_decay": 0.0},
}


def factor_infos() -> tuple[FactorInfo, ...]:
    """Factors of every weight (left, right) and bias."""
    infos = []
    for layer, (inputs, outputs) in enumerate(zip(WIDTHS[:-1], WIDTHS[1:], strict=True)):
        weight, name = 2 * layer, f"{2 * layer}"
        for dim, size in enumerate((outputs, inputs)):
            infos.append(
                FactorInfo(
                    id=f"{weight}.block_0.{dim}", parameter=f"{name}.weight", block=0, dim=dim, order=2, size=size
                )
            )
        infos.append(
            FactorInfo(id=f"{weight + 1}.block_0.0", parameter=f"{name}.bias", block=0, dim=0, order=1, size=outputs)
        )
    return tuple(infos)


class SyntheticRun:
    """A run under one optimizer that can be made longer.

    Args:
        optimizer: a key of `SETTINGS`.
        seed: of the noise.
        followed: the factor with the denser snapshots.
        changes: settings that differ from `SETTINGS`.
    """

    def __init__(self, optimizer: str = "foam", seed: int = 0, followed: int = 0, **changes: object) -> None:
        self.settings = {**SETTINGS[optimizer], **changes}
        self.optimizer, self.followed, self.step = optimizer, followed, 0
        self.random = np.random.default_rng(seed)
        infos = () if optimizer == "adamw" else factor_infos()
        self.trace = Trace.empty(
            Manifest(
                run_id=f"{optimizer}-{seed}",
                name=optimizer,
                optimizer=optimizer,
                task="digits-autoencoder",
                config={"optimizer_settings": self.settings},
                factors=infos,
                picture="reconstruction",
                status="running",
            )
        )
        self.count = len(infos)
        self.rate = 0.035 * (1 + self.random.random(self.count))
        self.epsilon = np.full(self.count, 1e-9)
        self.since = np.zeros(self.count, dtype=np.int64)
        self.spent = 0
        self.seconds = 0.0

    def advance(self, steps: int) -> SyntheticRun:
        """Appends `steps` more steps with their checks and snapshots."""
        first, last = self.step + 1, self.step + steps
        at = np.arange(first, last + 1)
        spent = np.zeros(steps, dtype=np.int64)
        if self.count:
            period, start = int(self.settings["period"]), int(self.settings["start"])
            for step in at[at >= start].tolist():
                if step % 20 == 0 and step > start:  # as recorders do, before the decision
                    self._snapshots(step)
                if step == start or step % period == 0:
                    self._check(step)
                spent[step - first :] = self.spent
        floor = {"foam": 0.26, "shampoo": 0.28, "dr-shampoo": 0.3, "adamw": 0.6}[self.optimizer]
        speed = {"adamw": 60.0}.get(self.optimizer, 12.0)
        noise = np.exp(0.07 * self.random.standard_normal(steps))
        self.seconds += 4e-3 * steps
        loss = (floor * (1 + (at / 700.0)) ** -0.5 + 5.5 * np.exp(-((at / speed) ** 0.6))) * noise
        held = np.where(at % 100 == 0, loss / noise * 1.12, np.nan)
        self.trace.append(
            "steps",
            record_batch(
                "steps",
                {
                    "step": at,
                    "loss": loss,
                    "held_out_loss": [None if np.isnan(v) else float(v) for v in held],
                    "optimizer_seconds": self.seconds - 4e-3 * np.arange(steps)[::-1],
                    "total_seconds": 1.2 * (self.seconds - 4e-3 * np.arange(steps)[::-1]),
                    "learning_rate": np.full(steps, 1e-2),
                    "decompositions": spent,
                },
            ),
        )
        self.step = last
        for name in ("input", "reconstruction"):
            images = self.random.random((10, 8, 8)).ravel()
            row = {"step": [last], "array": [name], "shape": [[10, 8, 8]], "values": [images]}
            self.trace.append("pictures", record_batch("pictures", row))
        return self

    def drift(self, step: int) -> np.ndarray:
        """h of every factor, shape (factors,)."""
        age = step - self.since
        raw = self.rate * age * (1 + step / 150.0) ** -0.75
        return raw * np.exp(0.08 * self.random.standard_normal(self.count)) / (1 + (self.epsilon / 1e-7) ** 0.35)

    def _check(self, step: int) -> None:
        tau, floor = self.settings.get("tau"), float(self.settings["epsilon"])
        cap = self.settings.get("epsilon_max")
        fresh, before = self.since == 0, self.epsilon.copy()
        h = self.drift(step)
        residual = np.minimum(0.35 * h, 0.99)
        if self.optimizer == "foam":
            wanted = np.maximum(floor, before * h / tau)
            refresh, reason = wanted > cap, "cap"
            after = np.where(refresh, floor, wanted)
        elif self.optimizer == "dr-shampoo":
            refresh, reason, after = residual > tau, "threshold", np.full(self.count, floor)
        else:
            refresh, reason, after = np.ones(self.count, bool), "cadence", np.full(self.count, floor)
        refresh = refresh | fresh
        self.epsilon = np.where(fresh, floor, after)
        self.since = np.where(refresh, step, self.since)
        self.spent += int(refresh.sum())
        decision = np.where(fresh, "first", np.where(refresh, reason, "reuse"))
        capped = (decision == "cap").astype(np.int32)
        blank = [None if is_fresh else value for is_fresh, value in zip(fresh, h, strict=True)]
        self.trace.append(
            "checks",
            record_batch(
                "checks",
                {
                    "step": np.full(self.count, step),
                    "factor": np.arange(self.count, dtype=np.int32),
                    "checks": np.ones(self.count, dtype=np.int32),
                    "decompositions": refresh.astype(np.int32),
                    "reuses": (~refresh).astype(np.int32),
                    "cap_refreshes": capped,
                    "decision": list(decision),
                    "epsilon_before": before,
                    "epsilon": self.epsilon,
                    "proxy": blank,
                    "residual": [None if is_fresh else v for is_fresh, v in zip(fresh, residual, strict=True)],
                    "last_decomposition_step": self.since,
                },
            ),
        )

    def _snapshots(self, step: int) -> None:
        factors = range(self.count) if step % 100 == 0 else [self.followed]
        rows: dict[str, list] = {name: [] for name in _SNAPSHOT}
        for factor in factors:
            size, age = self.trace.manifest.factors[factor].size, step - int(self.since[factor])
            spectrum = 3e-3 * np.exp(-15 * np.arange(size) / size) * (1 + step / 300.0) ** -0.5
            cells = min(size, 64)
            rows["step"].append(step)
            rows["factor"].append(factor)
            rows["last_decomposition_step"].append(int(self.since[factor]))
            rows["epsilon"].append(float(self.epsilon[factor]))
            rows["eigenvalues"].append(spectrum.astype(np.float32))
            rows["basis_eigenvalues"].append((spectrum * (1 + 0.004 * age)).astype(np.float32))
            rows["true_error"].append(float(0.02 + 0.6 * self.rate[factor] * age * (1 + step / 150.0) ** -0.75))
            rows["overlap"].append(_overlap(cells, age).tobytes())
            rows["overlap_size"].append(cells)
            rows["turn"].append(float(-np.expm1(-0.004 * age)))
            rows["top_angles"].append(np.linspace(0.0, min(0.01 * age, np.pi / 2), 8, dtype=np.float32))
        self.trace.append("snapshots", record_batch("snapshots", rows))


_SNAPSHOT = (
    "step", "factor", "last_decomposition_step", "epsilon", "eigenvalues", "basis_eigenvalues", "true_error",
    "overlap", "overlap_size", "turn", "top_angles",
)  # fmt: skip


def _overlap(size: int, age: int) -> np.ndarray:
    """A diagonal whose blur grows with age and towards the small directions; rows sum to about 255."""
    rank = np.arange(size)
    width = 0.25 + 0.05 * age * (rank / size) ** 2
    matrix = np.exp(-0.5 * ((rank[:, None] - rank[None, :]) / np.sqrt(np.outer(width, width))) ** 2)
    return np.round(255 * matrix / matrix.sum(axis=1, keepdims=True)).astype(np.uint8)
