"""Train Shampoo with a fixed period and with FOAM, and compare the loss and the number of decompositions.

Run it with ``python examples/train_and_compare.py [STEPS]``.
"""

from __future__ import annotations

import sys

from foam_viz.optim import EveryCheck, Foam, Shampoo
from foam_viz.tasks import catalogue

POLICIES = {
    "Shampoo, every 10 steps": EveryCheck(period=10),
    "FOAM": Foam(period=10, tau=0.75, epsilon=3e-6, epsilon_max=3e-5),
}


def main(steps: int = 100) -> None:
    """Print a line for each policy."""
    spec = catalogue.find("digits-classifier")
    for name, policy in POLICIES.items():
        task = spec.build(spec.review({})[0], seed=0)
        model = task.model()
        optimizer = Shampoo(model.parameters(), lr=1e-2, root=2, grafting="adam", refresh=policy)
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            task.loss(model, task.batch(step)).backward()
            optimizer.step()
        decompositions = sum(factor.decompositions for factor in optimizer.factors())
        loss = float(task.held_out_loss(model, steps))
        print(f"{name}: held-out loss {loss:.3f} {spec.loss_unit}, {decompositions} decompositions")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
