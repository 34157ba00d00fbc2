"""What all optimizers with factors share: the order of a step, checks, events, and saved state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor

from foam_viz.optim import check, gram
from foam_viz.optim.factor import CheckObservation, Factor, FactorEvent
from foam_viz.optim.factor_stack import FactorStack
from foam_viz.optim.fields import FieldError
from foam_viz.optim.group import GroupState
from foam_viz.optim.measurement import Measurement
from foam_viz.optim.precision import full_precision
from foam_viz.optim.refresh import Policy, from_settings, to_settings

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class FactoredOptimizer(torch.optim.Optimizer):
    """An optimizer that keeps Kronecker factors, whose bases are renewed when a policy says so.

    Factors of one size are stacked. On a device they are measured together, and all measures of a check reach the host
    in one transfer, the only time that ``step`` waits for the device apart from the decompositions, whose solver torch
    itself waits for. On a CPU they are taken in portions that fit its caches.

    Numerical failures never raise. A decomposition that fails is tried in float64, then with jitter, then the old basis
    stays; ``events`` records it and the next check tries again. Gradients are not filtered, as in torch's optimizers: a
    NaN or infinite one reaches parameters and statistics at once. The next check sees it, keeps the finite basis,
    records an event and counts a failure; the statistics stay as they are until a finite state is loaded.

    Args:
        params: Parameters, named parameters or parameter groups.
        defaults: Settings of a group that does not have its own; ``refresh`` is a policy, or ``None``.

    Attributes:
        observer: Called with a ``CheckObservation`` for each part of a factor stack that a check takes together, after
            the decisions were carried out; on a device that is the factor stack.
        decomposing: Entered around the decompositions of each such part and the roots made of them, for a clock.
        events: Numerical failures since the last ``drain_events``.

    Raises:
        FieldError: A setting is outside its range, or a parameter is not a real floating-point tensor.
    """

    _moves_before_check: ClassVar[bool] = False
    _once: ClassVar[Mapping[str, Any]] = {}
    """Settings that a group saved before they existed does not have, with what they were then."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.observer: Callable[[CheckObservation], None] | None = None
        self.decomposing: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.events: list[FactorEvent] = []
        self._step_count = 0
        self._states: list[GroupState] = []
        self._checked(defaults)
        super().__init__(params, defaults)

    @staticmethod
    def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a group in their own types; FieldError for the first that is refused."""
        raise NotImplementedError

    @staticmethod
    def _policy(group: Mapping[str, Any]) -> Policy:
        return group["refresh"]

    @staticmethod
    def _new_state(group: Mapping[str, Any], first_parameter: int, first_position: int) -> GroupState:
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a parameter group, whose factors follow those there are.

        Raises:
            FieldError: A setting of the group is outside its range, or a parameter is not a real floating-point tensor.
        """
        checked = self._checked({**self.defaults, **param_group})
        super().add_param_group({**param_group, **checked})
        added = self.param_groups[-1]
        for parameter in added["params"]:
            if parameter.dtype not in _DTYPES:
                self.param_groups.pop()
                allowed = "one of " + ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
                raise FieldError("parameter dtype", str(parameter.dtype).removeprefix("torch."), allowed)
        first_parameter = sum(len(group["params"]) for group in self.param_groups[:-1])
        self._states.append(self._new_state(added, first_parameter, len(self.factors())))

    @property
    def step_count(self) -> int:
        """Steps taken, t."""
        return self._step_count

    def factors(self) -> tuple[Factor, ...]:
        """The factors, by parameter, block and dimension; the objects are updated in place."""
        return tuple(factor for state in self._states for factor in state.factors)

    def factor_stacks(self) -> tuple[FactorStack, ...]:
        """The factors stacked by parameter group, size and root."""
        return tuple(factor_stack for state in self._states for factor_stack in state.factor_stacks)

    def drain_events(self) -> list[FactorEvent]:
        """The events since the last call, which are forgotten."""
        drained, self.events = self.events, []
        return drained

    def next_is_check(self) -> bool:
        """Whether the next step checks a factor, given that every parameter has a gradient there."""
        step = self._step_count + 1
        return any(
            factor_stack.has_turn(step, self._policy(group))
            for group, state in zip(self.param_groups, self._states, strict=True)
            for factor_stack in state.factor_stacks
        )

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
        for _ in self.phases():
            pass
        return loss

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases of a step in their order: SOAP and its kin renew bases after the update."""
        return ("statistics", "update", "check") if self._moves_before_check else ("statistics", "check", "update")

    @torch.no_grad()
    def phases(self) -> Iterator[str]:
        """Take a step with the gradients that there are, phase by phase: each name is yielded when its work is done.

        Between two phases nothing of the optimizer may be changed, saved or copied. A step that was begun must be
        taken to its end before the next.
        """
        self._step_count += 1
        work = {"statistics": self._accumulate, "check": self._check, "update": self._update}
        for name in self.phase_names:
            with full_precision():
                work[name]()
            yield name

    def _accumulate(self) -> None:
        for group, state in zip(self.param_groups, self._states, strict=True):
            state.accumulate(group)

    def _update(self) -> None:
        for group, state in zip(self.param_groups, self._states, strict=True):
            state.update(group)

    def _check(self) -> None:
        waiting: list[tuple[GroupState, Policy, Measurement]] = []
        for group, state in zip(self.param_groups, self._states, strict=True):
            policy = self._policy(group)
            for factor_stack in state.factor_stacks:
                for rows in factor_stack.due(self._step_count, policy):
                    measured = factor_stack.measure(rows, policy, self.observer is not None)
                    if gram.on_host(measured.values):
                        self._settle(state, policy, measured, measured.values.tolist())
                    else:
                        waiting.append((state, policy, measured))
        if not waiting:
            return
        for (state, policy, measured), numbers in zip(
            waiting, _to_host([measured.values for _, _, measured in waiting]), strict=True
        ):
            self._settle(state, policy, measured, numbers)

    def _settle(self, state: GroupState, policy: Policy, measured: Measurement, numbers: list[list[float]]) -> None:
        factor_stack, rows = measured.factor_stack, measured.rows
        factors = [factor_stack.factors[row] for row in rows]
        measured.note(numbers)
        decisions = [
            check.decide(
                policy,
                epsilon=factor.epsilon,
                measured=numbers[1][i] if measured.kind is not None else None,
                trace=numbers[0][i],
                can_judge=factor_stack.can_judge(row, policy),
            )
            for i, (row, factor) in enumerate(zip(rows, factors, strict=True))
        ]
        before = measured.before(decisions) if self.observer is not None else None
        first = not all(factor.has_basis for factor in factors)
        with self.decomposing() if any(decision.decompose for decision in decisions) else nullcontext():
            done, events = factor_stack.carry_out(measured, decisions, numbers[0], self._step_count)
        self.events += events
        state.after_check(factor_stack, first=first)
        if before is not None and self.observer is not None:
            self.observer(measured.observation(before, tuple(done), self._step_count))

    def state_dict(self) -> dict[str, Any]:
        """The state as plain values and tensors (not copies), readable by ``torch.load(weights_only=True)``."""
        saved = super().state_dict()
        saved["param_groups"] = [
            {**group, "refresh": None if group["refresh"] is None else to_settings(group["refresh"])}
            for group in saved["param_groups"]
        ]
        saved["state"] = {
            "optimizer": type(self).__name__,
            "step": self._step_count,
            "groups": [state.state() for state in self._states],
        }
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies a ``state_dict`` in; the steps that follow are the same as those of the optimizer it came from.

        Raises:
            ValueError: It is the state of another optimizer or of other parameters; nothing was changed.
        """
        saved, name = state_dict["state"], type(self).__name__
        if saved.get("optimizer") != name or len(saved["groups"]) != len(self._states):
            raise ValueError(f"the saved state is not one of {name} with {len(self._states)} parameter groups")
        for state, saved_state in zip(self._states, saved["groups"], strict=True):
            state.require_fit(saved_state)
        groups = [
            {
                **self._once,
                **group,
                "refresh": None if group["refresh"] is None else from_settings(group["refresh"]),
            }
            for group in state_dict["param_groups"]
        ]
        super().load_state_dict({"state": {}, "param_groups": groups})
        self._step_count = saved["step"]
        for state, saved_state in zip(self._states, saved["groups"], strict=True):
            state.load(saved_state)

    def __getstate__(self) -> dict[str, Any]:
        # torch keeps only its own three; copies need ours too, without observer and clock, which belong to the caller.
        ours = {"_step_count": self._step_count, "_states": self._states, "events": self.events}
        return {**super().__getstate__(), **ours, "observer": None, "decomposing": nullcontext}


def _to_host(measures: list[Tensor]) -> list[list[list[float]]]:
    """Measures (k_i, N_i) as nested lists, in one transfer from the device."""
    device = measures[0].device
    flat = torch.cat([measure.flatten().to(device) for measure in measures]).tolist()
    host, start = [], 0
    for kinds, count in (measure.shape for measure in measures):
        host.append([flat[start + k * count : start + (k + 1) * count] for k in range(kinds)])
        start += kinds * count
    return host
