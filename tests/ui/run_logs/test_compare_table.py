"""The table of a comparison, groups of seeds included, and the comparison as a file."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from foam_viz.analysis.confounds import confounds
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane
from foam_viz.trace import Manifest, Trace, record_batch
from foam_viz.ui.run_logs.compare_board import look
from foam_viz.ui.run_logs.compare_table import chips, table
from foam_viz.ui.run_logs.loss_choice import candidates
from foam_viz.ui.run_logs.take_comparison import document
from foam_viz.ui.session.logs import Run

VIEW: dict[str, Any] = {
    "metric": ("loss",), "x": "step", "log_x": False, "log_y": True, "smoothing": "none", "scale": 20.0, "raw": True,
    "seeds": True, "target": None, "at": None,
}  # fmt: skip


def _runs(*losses: float, name: str = "foam", lr: float = 0.1) -> list[Run]:
    runs = []
    for seed, last in enumerate(losses):
        config = {"seed": seed, "lr": lr, "note": "<script>alert(1)</script>"}
        manifest = Manifest(run_id=f"{name}{seed}", name=f"{name} seed={seed}", format="csv", config=config)
        trace = Trace.empty(manifest)
        trace.append("steps", record_batch("steps", {"step": [1, 50], "loss": [9.0, last]}))
        runs.append(Run(f"f/{name}{seed}", f"{name} seed={seed}", trace, "a.zip"))
    return runs


def _lanes(runs: list[Run]) -> list[Lane]:
    return [Lane(run.trace, run.label, place) for place, run in enumerate(runs)]


def _rows(runs: list[Run], most: int = 18, **view: Any) -> list:
    chosen = {**VIEW, **view}
    lanes = _lanes(runs)
    return chips(runs, lanes, table(chosen, lanes, None), chosen, False, most)


def test_a_group_of_seeds_has_a_row_with_mean_deviation_and_the_swatch_of_its_curve() -> None:
    runs = [*_runs(3.0, name="soap", lr=0.3), *_runs(1.0, 2.0, 6.0)]
    rows = _rows(runs)
    assert [row.label for row in rows] == ["soap seed=0", "foam, 3 seeds", *(f"· foam seed={s}" for s in range(3))]
    head = rows[1]
    assert dict(cell[:2] for cell in head.cells)["Last"] == "3.00 ± 2.65"
    assert head.position == 1  # of its first run, as its mean and its band
    assert {tuple(cell[0] for cell in row.cells) for row in rows} == {("Best", "Last")}
    assert [row.label for row in _rows(runs, seeds=False)] == [run.label for run in runs]
    target = _rows(runs, target=2.5, at=50.0)
    assert len({tuple(cell[0] for cell in row.cells) for row in target}) == 1
    assert dict(cell[:2] for cell in target[1].cells)["Steps to target"] == "50.0 ± 0 (2 of 3)"


def test_each_run_and_each_group_names_the_files_it_is_from() -> None:
    runs = _runs(1.0, 2.0)
    other = _runs(3.0, name="soap", lr=0.3)
    assert all(cell[0] != "From" for row in _rows(runs) for cell in row.cells), "one file is no news"
    for run, name in zip([*runs, *other], ("a/one.csv", "a/two.csv", "b/three.csv"), strict=True):
        run.trace.manifest = run.trace.manifest.with_(files=(name,))
    other[0].trace.manifest = other[0].trace.manifest.with_(files=tuple(f"b/{n}.csv" for n in range(9)))
    told = [row.cells[-1] for row in _rows([*runs, *other])]
    assert [name for label, name, _ in told if label == "From"] == ["one.csv + 1", "one.csv", "two.csv", "0.csv + 8"]
    assert "a/one.csv, a/two.csv" in told[0][2] and told[1][2] == "Read from a/one.csv; opened as a.zip."
    assert "b/5.csv and 3 more" in told[3][2]


def test_groups_stand_alone_where_there_are_too_many_runs() -> None:
    runs = _runs(*np.linspace(1, 2, 30))
    assert [row.label for row in _rows(runs, most=12)] == ["foam, 30 seeds"]
    assert _rows(runs, most=12, seeds=False) == []


def test_a_comparison_is_one_file_with_figures_tables_and_settings() -> None:
    runs = [*_runs(1.0, 2.0), *_runs(3.0, name="</script><b>", lr=0.3)]
    lanes = _lanes(runs)
    found = confounds([run.trace for run in runs])
    text = document("loss of 3 runs", lanes, Look.of(look(VIEW, None)), _rows(runs), found)
    own = re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.DOTALL)  # without Plotly
    assert "1.50 ± 0.707" in own and "Plotly.newPlot" in own and '"compare-0"' in own
    assert "<b>lr</b>" in own and ">0.3<" in own and "Smoothing" in own
    assert "alert(1)" in own and "<script>alert" not in own and "</script><b>" not in own
    assert "http" not in re.sub(r"</?script>", "", own).lower() or "src=" not in own


@pytest.mark.parametrize(
    ("columns", "found"),
    [({"objective_x": "objective_x", "time": "total_seconds"}, {"objective_x": "objective_x"}),
     ({"train": "loss", "other": "other"}, {}), ({}, {})],
)  # fmt: skip
def test_a_loss_that_was_not_found_can_be_chosen(columns: dict[str, str], found: dict[str, str]) -> None:
    sources = tuple({"source": source, "target": target} for source, target in columns.items())
    trace = Trace.empty(Manifest(run_id="r", name="r", source_columns=sources))
    values = {target: [1.0, 2.0] for target in columns.values()}
    trace.append("steps", record_batch("steps", {"step": [1, 2], **values}))
    assert candidates(trace) == found
