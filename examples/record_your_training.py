"""Record a training loop of your own as a run that the app opens.

Run it with ``python examples/record_your_training.py FOLDER [STEPS]`` and drop the folder into the page Run logs.
"""

from __future__ import annotations

import sys

import torch

from foam_viz.optim import Foam, Shampoo
from foam_viz.trace import Writer


def main(folder: str, steps: int = 100) -> None:
    """Fit a small perceptron to a sine, and record losses, checks and snapshots."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    inputs = torch.linspace(-3, 3, 256)[:, None]
    optimizer = Shampoo(model.parameters(), lr=1e-2, grafting="adam", refresh=Foam(period=10))
    with Writer(folder, config={"lr": 1e-2, "optimizer": "FOAM"}) as writer:
        writer.observe(optimizer, model=model)
        for step in range(1, steps + 1):
            loss = (model(inputs) - inputs.sin()).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            writer.log(step, loss=loss)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
