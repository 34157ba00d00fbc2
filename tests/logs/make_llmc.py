"""A small log of llm.c, with a resume."""

from __future__ import annotations

from pathlib import Path


def make_llmc(folder: Path) -> Path:
    lines = ["s:0 tel:11.0092"]
    lines += [f"s:{s} trl:{11 - s / 10:.4f} lr:0.000{s % 10}00 norm:{15 - s / 10:.2f}" for s in range(30)]
    lines[21:21] = ["s:20 tel:9.5", "s:20 eval:0.2868"]
    lines += [f"s:{s} trl:{10 - s / 10:.4f} lr:0.000100 norm:1.00" for s in range(25, 40)] + ["s:40 tel:6.25"]
    (folder / "main.log").write_text("\n".join(lines) + "\n")
    return folder
