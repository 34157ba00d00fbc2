"""Every task trains with every optimizer of the catalogue: 50 steps lower the held-out loss by 3 % and more."""

from __future__ import annotations

import pytest
import torch

from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.tasks.catalogue import TASKS
from tests.tasks.small import small

STEPS = 50
# Learning rates where an optimizer's own default does not fit: for a task, and for a task under one optimizer.
TASK_RATES: dict[str, float] = {"matrix-factorization": 0.1, "rotating-quadratic": 0.1}
LEARNING_RATES: dict[tuple[str, str], float] = {
    ("digits-conv", "sgd"): 0.1,
    ("digits-vit", "sgd"): 0.1,
    ("digits-conv", "adafactor"): 0.03,
    ("digits-vit", "adafactor"): 0.03,
    # Its eigenvalues start at 0.1 and need some 50 steps to fall to those of small gradients.
    ("digits-conv", "kl-shampoo"): 0.03,
    # Adafactor's steps are relative to the parameter, which starts at zero here.
    ("rotating-quadratic", "adafactor"): 0.3,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tasks():
    return {name: small(name) for name in TASKS}


@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("name", list(TASKS))
def test_training_lowers_the_held_out_loss(name: str, optimizer_name: str, tasks) -> None:
    task = tasks[name]
    model = task.model()
    learning_rate = LEARNING_RATES.get((name, optimizer_name), TASK_RATES.get(name))
    settings = {} if learning_rate is None else {"lr": learning_rate}
    optimizer = OPTIMIZERS[optimizer_name].build(model.parameters(), settings)
    # At the last step too: the distribution itself may turn meanwhile.
    before = float(task.held_out_loss(model, STEPS))
    for step in range(1, STEPS + 1):
        loss = task.loss(model, task.batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = float(task.held_out_loss(model, STEPS))
    assert after < 0.97 * before
