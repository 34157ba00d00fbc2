"""Small tables in every form of file, a function each."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path


def _rows(count: int = 60) -> list[dict[str, float]]:
    return [{"step": i, "loss": 3 / math.sqrt(i), "lr": 1e-3 * i / 60, "time": i * 0.25} for i in range(1, count + 1)]


def make_csv(folder: Path) -> Path:
    path = folder / "metrics.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "lr", "time", "val_accuracy"])
        writer.writeheader()
        writer.writerows(row | {"val_accuracy": "" if row["step"] % 5 else row["step"] / 60} for row in _rows())
    return path


def make_tsv(folder: Path) -> Path:
    path = folder / "run.tsv"
    lines = ["Iteration\tTrain Loss\tGrad Norm", *(f"{row['step']}\t{row['loss']:.3f}\t1,5" for row in _rows())]
    path.write_text("\n".join(lines))
    return path


def make_jsonl(folder: Path) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row | {"layer": "a", "nested": {"x": row["step"]}}) + "\n" for row in _rows()))
    return path


def make_json(folder: Path) -> Path:
    path = folder / "history.json"
    columns = {key: [row[key] for row in _rows()] for key in ("step", "loss", "time")}
    path.write_text(json.dumps({"config": {"lr": 0.1, "optimizer": "muon"}, "history": columns, "best": 0.1}))
    return path


def make_parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet

    path = folder / "history.parquet"
    pyarrow.parquet.write_table(
        pa.Table.from_pylist([row | {"_step": row["step"], "s": "text"} for row in _rows()]), path
    )
    return path
