"""Settings that take another value while an optimizer trains.

What an edit does at its step, for every policy:

* A new period: checks fall on its multiples from that step on, as ``t mod f`` says; no check is made up for.
* A new eps0 (``epsilon``) holds from the next check: there X is rebuilt with it, or a fresh decomposition takes it.
* A new eps_max below the damping in force: the next check decides by it, and decomposes where eps would pass it.
* A new tau: the next check decides by it.
* lr, weight decay, grafting and the epsilons of denominators act in that very step.

Nothing is decomposed, checked or rebuilt out of turn: an edit changes what the next step reads, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch


def edit(optimizer: torch.optim.Optimizer, values: Mapping[str, Any]) -> None:
    """Give an optimizer other settings, between two steps.

    Args:
        optimizer: Any of the catalogue.
        values: The new values of editable fields, by name; those of a policy are checked together.

    Raises:
        FieldError: The values do not fit each other, or those that stay.
    """
    for group in optimizer.param_groups:
        policy = group.get("refresh")
        known = {field.name for field in fields(policy)} if policy is not None else set()
        of_policy = {name: value for name, value in values.items() if name in known}
        if policy is not None and of_policy:
            group["refresh"] = replace(policy, **of_policy)
        group.update({name: value for name, value in values.items() if name in group and name not in known})
