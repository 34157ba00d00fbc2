"""Small tables of several kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet


def make_table(folder: Path) -> Path:
    rows = [{"step": step, "loss": 3 - step / 100, "val": {"loss": 3.1 - step / 100}} for step in range(0, 200, 5)]
    (folder / "a.csv").write_text(
        "step,train/loss,val/loss,lr,time_ms,text\n"
        + "".join(f"{s},{3 - s / 100},{3.1 if s % 20 == 0 else ''},1e-3,{s * 12},x\n" for s in range(200))
        + "200,nan,inf,1e-3,2400,y\n"
    )
    (folder / "b.tsv").write_text("step\tloss\n" + "".join(f"{s}\t{s / 7}\n" for s in range(50)))
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "d.json").write_text(json.dumps({"lr": 0.1, "history": {"steps": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}}))
    table = pa.table({"step": [1, 2, 3], "loss": [1.0, float("nan"), None], "name": ["x", "y", "z"]})
    pyarrow.parquet.write_table(table, folder / "e.parquet")
    (folder / "f.csv").write_text(
        "run,step,layer,loss\n" + "".join(f"{r},{s},{k},{s + k}\n" for r in "ab" for s in range(9) for k in (0, 1))
    )
    return folder
