"""Records the sample run with a factor stream: ``python sample_runs/stream.py``.

The digits autoencoder at width 32 under FOAM with f = 10, in a training loop of its own, watched by
``foam_viz.trace.Writer``: every factor at every check, and the gradients that the parameters had then.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from foam_viz.experiment import config  # noqa: E402 (found only now)
from foam_viz.optim import catalogue as optimizers  # noqa: E402
from foam_viz.tasks import catalogue as tasks  # noqa: E402
from foam_viz.trace import Stream, Writer
from foam_viz.recording import stream  # noqa: E402

TARGET = ROOT / "sample_runs" / "digits-autoencoder-foam-stream.zip"
STEPS, SEED, WIDTH, PERIOD = 400, 0, 32, 10


def main() -> None:
    torch.set_num_threads(1)
    task = tasks.find("digits-autoencoder").build({"width": WIDTH}, seed=SEED, device="cpu")
    model = task.model()
    experiment, _ = config.build("digits-autoencoder", lanes=[("foam", {"period": PERIOD})])
    optimizer = optimizers.find("foam").build(model.parameters(), experiment.lanes[0].settings)
    told = {"task": "digits-autoencoder", "task_settings": {"width": WIDTH}, "seed": SEED, "steps": STEPS}
    wanted = Stream(factors=("*",), every=PERIOD)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / TARGET.stem
        with Writer(
            run, task="digits-autoencoder", config=told, snapshot_every=50, factors=["*"], stream=wanted
        ) as writer:
            writer.observe(optimizer, model=model)
            for step in range(1, STEPS + 1):
                loss = task.loss(model, task.batch(step))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                writer.log(step, loss=loss)
                if step == 1 or step % 50 == 0:
                    writer.log(step, held_out_loss=task.held_out_loss(model, step))
        stream.pack(run, TARGET)


if __name__ == "__main__":
    main()
