"""Small text logs of several programs."""

from __future__ import annotations

from pathlib import Path


def make_key_values(folder: Path) -> Path:
    (folder / "equals.log").write_text(
        "loading 12 shards\n"
        + "".join(f"epoch=1/2 step={s}/40 global_step={s} objective={2 - s / 100:.3f} lr=1e-3\n" for s in range(1, 30))
    )
    (folder / "nanogpt.log").write_text(
        "number of parameters: 123.59M\n"
        + "".join(
            (f"step {s}: train loss {4 - s / 50:.4f}, val loss {4.1 - s / 50:.4f}\n" if s % 10 == 0 else "")
            + f"iter {s}: loss {4 - s / 50 + 0.001:.4f}, time 123.45ms, mfu 3.20%\n"
            for s in range(40)
        )
    )
    (folder / "colours.log").write_text(
        "".join(
            f"2024-03-01 10:00:{s:02d},500 \x1b[32mINFO\x1b[0m trainer - "
            f"Step: {s}/60 | Loss: {3 - s / 60:.4f} | Grad Norm: 1.5\n"
            for s in range(60)
        )
    )
    (folder / "bar.txt").write_text(
        "".join(
            f"Epoch 0:  10%|█▎   | {s}/100 [00:01<00:09, 9.91it/s, loss={2 - s / 100:.3f}]\r" for s in range(1, 101)
        )
    )
    (folder / "dicts.log").write_text(
        "".join(
            f"{{'loss': {2 - s / 10:.2f}, 'grad_norm': 1.5, 'learning_rate': 5e-05, 'epoch': {s / 10}}}\n"
            for s in range(1, 9)
        )
    )
    return folder
