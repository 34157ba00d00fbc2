"""A small trainer_state.json and the states of its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path


def history(last: int, *, summary: bool) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for step in range(10, last + 1, 10):
        norm = float("nan") if step == 20 else step / 10
        rows.append({"step": step, "epoch": step / 50, "loss": 3 - step / 50, "grad_norm": norm, "learning_rate": 1e-4})
        if step % 50 == 0:
            rows.append({"step": step, "epoch": step / 50, "eval_loss": 3.5 - step / 50, "eval_runtime": 2.5})
    if summary:
        rows.append({"step": last, "epoch": last / 50, "train_loss": 9.0, "train_runtime": 60.5, "total_flos": 1e15})
    return {"global_step": last, "max_steps": 100, "train_batch_size": 8, "log_history": rows, "num_train_epochs": 2}


def make_huggingface(folder: Path) -> Path:
    for step in (50, 100):
        place = folder / "finetune" / f"checkpoint-{step}"
        place.mkdir(parents=True)
        (place / "trainer_state.json").write_text(json.dumps(history(step, summary=step == 100), indent=2))
    (folder / "stopped").mkdir()
    (folder / "stopped" / "trainer_state.json").write_text(json.dumps(history(60, summary=False), indent=2))
    return folder
