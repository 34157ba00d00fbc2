"""Small exports of Weights & Biases: two panels of the same runs, and a history."""

from __future__ import annotations

from pathlib import Path


def make_wandb_export(folder: Path) -> Path:
    for metric, scale in (("train/loss", 1.0), ("val/loss", 2.0)):
        head = ["Step"] + [f"{run} - {metric}{end}" for run in ("adam - big", "soap") for end in ("", "__MIN", "__MAX")]
        rows = [",".join(f'"{name}"' for name in head)]
        for step in range(0, 50, 10):
            adam, soap = scale * (3 - step / 50), scale * (2 - step / 50)
            second = f'"{soap}","{soap - 0.5}","{soap + 0.5}"' if step != 20 else '"","",""'
            rows.append(f'"{step}","{adam}","{adam}","{adam}",{second}')
        (folder / f"panel_{metric.replace('/', '_')}.csv").write_text("\n".join(rows) + "\n")
    (folder / "history").mkdir()
    (folder / "history" / "history.csv").write_text(
        "_step,_runtime,_timestamp,loss,eval/accuracy\n"
        "0,1.5,1700000001.5,2.0,\n1,2.5,1700000002.5,1.5,0.5\n2,4.5,1700000004.5,NaN,\n3,6.5,1700000006.5,NaN,\n"
    )
    return folder
