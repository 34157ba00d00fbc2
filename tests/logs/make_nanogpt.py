"""Small logs of modded-nanogpt in both styles, and two runs in one file."""

from __future__ import annotations

from pathlib import Path

PRELUDE = """import torch
@dataclass
class Hyperparameters:
    batch_size : int = 8*64 # sequences over all devices
    learning_rate : float = 0.0036
    input_bin : str = 'data/*.bin'
class Other:
    width : int = 3
print0(f"step:{step}/{train_steps} val_loss:{val_loss:.4f} train_time:{t:.0f}ms")
\"\"\"
step:7/9 val_loss:1.0 train_time:7ms step_avg:7ms
\"\"\"
"""
MACHINE = """Running python 3.12.7 (main) and nvidia-smi:
Running pytorch 2.6.0.dev20241126+cu124 compiled for CUDA 12.4
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:19:00.0 Off |                    0 |
|   1  NVIDIA H100 80GB HBM3          On  |   00000000:3B:00.0 Off |                    0 |
"""


def run_of_2024(last: int, planned: int) -> str:
    lines = [f"step:0/{planned} val_loss:11.0149 train_time:305ms step_avg:nanms"]
    for step in range(1, last + 1):
        time, average = (24000 + 250 * step, "nan") if step <= 10 else (250 * (step - 10), "250.00")
        lines.append(f"step:{step}/{planned} train_loss:{11 - step / 10:.4f} train_time:{time}ms step_avg:{average}ms")
        if step % 20 == 0:
            lines.append(
                f"step:{step}/{planned} val_loss:{11.5 - step / 10:.4f} train_time:{time + 7}ms step_avg:nanms"
            )
    return "\n".join(lines) + "\n"


def make_nanogpt(folder: Path) -> Path:
    (folder / "old.txt").write_text(PRELUDE + "=" * 100 + "\n" + MACHINE + "=" * 100 + "\n" + run_of_2024(40, 40))
    track = [
        f"step:{s}/500 val_loss:{10 - s / 100:.5f} train_time:{s * 0.15:.3f}s step_avg:150.00ms"
        for s in range(0, 501, 125)
    ]
    (folder / "track.txt").write_text(PRELUDE + "=" * 100 + "\n" + "\n".join(track) + "\n")
    (folder / "two.txt").write_text("=" * 100 + "\n" + run_of_2024(30, 30) + run_of_2024(20, 60))
    return folder
