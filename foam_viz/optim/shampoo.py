"""Shampoo with a refresh policy per parameter group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from foam_viz.optim import catalogue
from foam_viz.optim.bank import Bank
from foam_viz.optim.factor import CheckObservation, Factor, FactorEvent
from foam_viz.optim.fields import FieldError, require
from foam_viz.optim.group import GroupState
from foam_viz.optim.measurement import Measurement
from foam_viz.optim.refresh import Foam, Policy, from_settings, to_settings

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Shampoo(torch.optim.Optimizer):
    """Shampoo (Gupta, Koren & Singer 2018) whose factors are decomposed when a policy says so (Nam & Ahn 2026).

    A block of order o with gradient G keeps L_k <- beta2 L_k + (1 - beta2) G_(k) G_(k)^T for each dimension k and moves
    along the momentum contracted with X_k = (L_k / (1 - beta2^t) + eps)^(-1/p) on every dimension. At a check, the
    policy decides for each factor whether to decompose it again or to keep its basis.

    Factors of one size are stacked and measured together; all measures of a check reach the host in one transfer, the
    only time that ``step`` waits for the device apart from the decompositions, whose solver torch itself waits for.

    Until its first decomposition a block takes the grafting direction, or the momentum without grafting. Parameters
    that ``precondition`` leaves out are updated by AdamW with the group's lr, betas (or ``grafting_beta2``),
    ``grafting_epsilon`` and weight decay. A parameter without gradient is left alone, counts no step, and its factors
    are not checked.

    Numerical failures never raise. A decomposition that fails is tried in float64, then with jitter, then the old basis
    stays; ``events`` records it and the next check tries again. Gradients are not filtered, as in torch's optimizers: a
    NaN or infinite one reaches parameters and statistics at once. The next check sees it, keeps the finite basis,
    records an event and counts a failure; the statistics stay as they are until a finite state is loaded.

    State is float32, or float64 for float64 parameters. lr, betas, weight decay and policy may be changed in
    ``param_groups`` between steps; what shapes the state (root, grafting, block size, ``precondition``) may not.

    Args:
        params: Parameters, named parameters or parameter groups; a group may override every keyword below.
        lr: Learning rate.
        betas: Decay of the first moment, and of the factor statistics (1 means a plain sum).
        weight_decay: Decoupled decay, W <- W - lr wd W.
        root: p; ``None`` means twice the order of the block.
        refresh: The refresh policy, which also holds the damping.
        grafting: ``None``, ``"sgd"`` or ``"adam"``: whose length the step takes.
        grafting_beta2: Decay of Adam grafting's second moment; ``None`` means ``betas[1]``.
        grafting_epsilon: Added to Adam grafting's denominator.
        max_preconditioner_dim: Larger dimensions are cut into blocks of this size.
        merge_dims: Whether small neighbouring dimensions are merged first.
        precondition: ``"all"``, ``"matrices"`` (those with two or more dimensions larger than 1) or ``"none"``.

    Attributes:
        observer: Called with a ``CheckObservation`` once per bank and check, after the decision was carried out.
        events: Numerical failures since the last ``drain_events``.

    Raises:
        FieldError: A keyword is outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        root: int | None = 2,
        refresh: Policy = Foam(period=10, tau=0.75, epsilon=1e-9, epsilon_max=3e-7),  # noqa: B008 (frozen)
        grafting: str | None = "adam",
        grafting_beta2: float | None = None,
        grafting_epsilon: float = 1e-8,
        max_preconditioner_dim: int = 1024,
        merge_dims: bool = False,
        precondition: str = "all",
    ) -> None:
        self.observer: Callable[[CheckObservation], None] | None = None
        self.events: list[FactorEvent] = []
        self._step_count = 0
        self._states: list[GroupState] = []
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "root": root, "refresh": refresh,
            "grafting": grafting, "grafting_beta2": grafting_beta2, "grafting_epsilon": grafting_epsilon,
            "max_preconditioner_dim": max_preconditioner_dim, "merge_dims": merge_dims,
            "precondition": precondition,
        }  # fmt: skip
        _checked(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a parameter group, whose factors follow those there are.

        Raises:
            FieldError: A setting of the group is outside its range, or a parameter is not a real floating-point tensor.
        """
        checked = _checked({**self.defaults, **param_group})
        super().add_param_group({**param_group, **checked})
        added = self.param_groups[-1]
        for parameter in added["params"]:
            if parameter.dtype not in _DTYPES:
                self.param_groups.pop()
                allowed = "one of " + ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
                raise FieldError("parameter dtype", str(parameter.dtype).removeprefix("torch."), allowed)
        first_parameter = sum(len(group["params"]) for group in self.param_groups[:-1])
        self._states.append(GroupState(added, first_parameter, len(self.factors())))

    @property
    def step_count(self) -> int:
        """Steps taken, t."""
        return self._step_count

    def factors(self) -> tuple[Factor, ...]:
        """The factors, by parameter, block and dimension; the objects are updated in place."""
        return tuple(factor for state in self._states for factor in state.factors)

    def banks(self) -> tuple[Bank, ...]:
        """The factors stacked by parameter group, size and root."""
        return tuple(bank for state in self._states for bank in state.banks)

    def drain_events(self) -> list[FactorEvent]:
        """The events since the last call, which are forgotten."""
        drained, self.events = self.events, []
        return drained

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step.

        Args:
            closure: Computes the loss again and returns it.

        Returns:
            What the closure returned, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_count += 1
        for group, state in zip(self.param_groups, self._states, strict=True):
            state.accumulate(group)
        self._check()
        for group, state in zip(self.param_groups, self._states, strict=True):
            state.update(group)
        return loss

    def _check(self) -> None:
        due: list[tuple[GroupState, Policy, Measurement]] = []
        for group, state in zip(self.param_groups, self._states, strict=True):
            policy = group["refresh"]
            if policy.is_check(self._step_count):
                due += [
                    (state, policy, bank.measure(rows, policy.measures, self.observer is not None))
                    for bank in state.banks
                    for rows in bank.due()
                ]
        if not due:
            return
        for (state, policy, measured), numbers in zip(due, _to_host([m.values for _, _, m in due]), strict=True):
            self._settle(state, policy, measured, numbers)

    def _settle(self, state: GroupState, policy: Policy, measured: Measurement, numbers: list[list[float]]) -> None:
        bank, rows = measured.bank, measured.rows
        factors = [bank.factors[row] for row in rows]
        measured.note(numbers)
        decisions = [
            policy.decide(
                epsilon=factor.epsilon,
                measure=numbers[1][i] if measured.kind is not None else None,
                has_basis=factor.has_basis,
            )
            for i, factor in enumerate(factors)
        ]
        before = measured.before(decisions) if self.observer is not None else None
        had_basis = factors[0].has_basis
        done, events = bank.carry_out(measured, decisions, numbers[0], self._step_count)
        self.events += events
        if not had_basis:
            state.invalidate()
        if before is not None and self.observer is not None:
            self.observer(measured.observation(before, tuple(done), self._step_count))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain values and tensors (not copies), readable by ``torch.load(weights_only=True)``."""
        saved = super().state_dict()
        saved["param_groups"] = [{**group, "refresh": to_settings(group["refresh"])} for group in saved["param_groups"]]
        saved["state"] = {
            "step": self._step_count,
            "groups": [state.state() for state in self._states],
        }
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies a ``state_dict`` in; the steps that follow are the same as those of the optimizer it came from.

        Raises:
            ValueError: It is the state of another optimizer or of other parameters; nothing was changed.
        """
        saved = state_dict["state"]
        if "groups" not in saved or len(saved["groups"]) != len(self._states):
            raise ValueError(f"the saved state is not one of Shampoo with {len(self._states)} parameter groups")
        for state, saved_state in zip(self._states, saved["groups"], strict=True):
            state.require_fit(saved_state)
        groups = [{**group, "refresh": from_settings(group["refresh"])} for group in state_dict["param_groups"]]
        super().load_state_dict({"state": {}, "param_groups": groups})
        self._step_count = saved["step"]
        for state, saved_state in zip(self._states, saved["groups"], strict=True):
            state.load(saved_state)

    def __getstate__(self) -> dict[str, Any]:
        # torch keeps only its own three; copies need ours too, without the observer, which is somebody else's.
        ours = {"_step_count": self._step_count, "_states": self._states, "events": self.events, "observer": None}
        return {**super().__getstate__(), **ours}


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a group in their own types; FieldError for the first that is refused."""
    if not isinstance(settings["refresh"], Policy):
        raise FieldError("refresh", settings["refresh"], "a policy of foam_viz.optim.refresh")
    try:
        beta1, beta2 = settings["betas"]
    except (TypeError, ValueError):
        raise FieldError("betas", settings["betas"], "a pair of numbers") from None
    given = {field.name: settings[field.name] for field in catalogue.SHAMPOO_FIELDS if field.name in settings}
    checked = require(catalogue.SHAMPOO_FIELDS, {**given, "beta1": beta1, "beta2": beta2})
    betas = (checked.pop("beta1"), checked.pop("beta2"))
    return {**checked, "betas": betas, "refresh": settings["refresh"]}


def _to_host(measures: list[Tensor]) -> list[list[list[float]]]:
    """Measures (k_i, N_i) as nested lists, in one transfer from the device."""
    device = measures[0].device
    flat = torch.cat([measure.flatten().to(device) for measure in measures]).tolist()
    host, start = [], 0
    for kinds, count in (measure.shape for measure in measures):
        host.append([flat[start + k * count : start + (k + 1) * count] for k in range(kinds)])
        start += kinds * count
    return host
