"""A step that starts again in each epoch becomes one that counts on; resumes and further runs stay what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foam_viz.logs.core.epochs import global_steps, passes
from foam_viz.logs.formats import table
from foam_viz.logs.formats.key_values import READER
from tests.logs.reading import column, read, said, written


def _counted(steps: list[int], epochs: list[float], planned: int = 0) -> list[int] | None:
    found = global_steps(np.array(steps), np.array(epochs, float), planned)
    return None if found is None else found.steps.tolist()


@pytest.mark.parametrize(
    ("steps", "epochs", "planned", "expected"),
    [
        ([20, 40, 20, 40], [1, 1, 2, 2], 50, [20, 40, 70, 90]),
        ([20, 40, 20, 40], [1, 1, 2, 2], 0, [20, 40, 60, 80]),
        ([0, 20, 0, 20], [0, 0, 1, 1], 0, [0, 20, 40, 60]),
        ([313, 313, 313], [1, 2, 3], 313, [313, 626, 939]),
        ([0, 0, 0], [5, 6, 7], 0, [0, 1, 2]),
        ([20, 40, 7, 20], [1, np.nan, 2, np.nan], 50, [20, 40, 57, 70]),
        ([20, 40, 40, 20], [1, 1, 2, 2], 50, [20, 40, 90, 70]),
    ],
)
def test_the_step_counts_through_epochs(
    steps: list[int], epochs: list[float], planned: int, expected: list[int]
) -> None:
    assert _counted(steps, epochs, planned) == expected


@pytest.mark.parametrize(
    ("steps", "epochs"),
    [
        ([10, 20, 30, 40], [1, 1, 2, 2]),  # counts through already
        ([10, 20, 20, 30], [1, 1, 2, 2]),  # the last of an epoch, logged again as the first of the next
        ([10, 20, 10, 20], [1, 1, 1, 1]),  # a resume, or another run
        ([10, 20, 10, 20], [0.1, 0.2, 0.3, 0.4]),  # parts of epochs
        ([30, 40, 10, 20], [2, 2, 1, 1]),  # a resume in an earlier epoch
        ([10, 20], [np.nan, np.nan]),
        ([2**52, 1], [1, 1e9]),
    ],
)
def test_other_steps_stay(steps: list[int], epochs: list[float]) -> None:
    assert _counted(steps, epochs) is None


def test_passes_without_an_epoch_are_told_from_runs_by_the_loss() -> None:
    steps = np.array([50, 100, 50, 100, 50])
    falling = np.array([4.0, 3.5, 3.4, 3.0, 2.9])
    assert passes(steps, 100, falling).tolist() == [0, 0, 1, 1, 2]
    assert passes(steps, 100, np.array([4.0, 3.5, 4.1, 3.4, 4.0])) is None
    assert passes(steps, 0, falling) is None and passes(steps, 500, falling) is None


@pytest.mark.parametrize(("epochs", "lines"), [(3, 5), (30, 2), (600, 2), (7, 1)])
def test_nothing_of_a_text_log_is_lost(tmp_path: Path, epochs: int, lines: int) -> None:
    every = 100 // lines
    text = "".join(
        f"Epoch [{e}/{epochs}], Step [{s}/100], Loss: {4 - e / epochs - s / 1e3:.6f}\n"
        for e in range(1, epochs + 1)
        for s in range(every, 101, every)
    )
    (trace,) = read(READER, written(tmp_path, "x.log", text))
    assert column(trace, "step") == list(range(every, epochs * 100 + 1, every))
    assert trace.steps["loss"].null_count == 0 and trace.manifest.config["steps_planned"] == 100 * epochs
    assert said(trace, "starts again in each epoch") and not said(trace, "resume") and not said(trace, "was kept")


def test_tables_and_json_lines_too(tmp_path: Path) -> None:
    rows = [(e, b, 4 - e - b / 100) for e in range(3) for b in range(0, 100, 20)]
    texts = {
        "x.csv": "epoch,iter,loss\n" + "".join(f"{e},{b},{loss}\n" for e, b, loss in rows),
        "x.jsonl": "".join(f'{{"epoch": {e}, "iter": {b}, "loss": {loss}}}\n' for e, b, loss in rows),
    }
    for name, text in texts.items():
        (trace,) = read(table.READER, written(tmp_path, name, text))
        assert column(trace, "step") == list(range(0, 300, 20)) and column(trace, "loss") == [row[2] for row in rows]


def test_a_resume_within_epochs_is_still_told_apart(tmp_path: Path) -> None:
    steps = [(1, 50), (1, 100), (2, 50), (2, 100), (3, 50), (2, 50), (2, 100), (3, 50), (3, 100)]
    text = "".join(f"epoch {e} step {s}/100 loss {4 - i / 10:.1f}\n" for i, (e, s) in enumerate(steps))
    (trace,) = read(READER, written(tmp_path, "x.log", text))
    assert column(trace, "step") == [50, 100, 150, 200, 250, 300] and column(trace, "loss")[2] == 3.5
    assert said(trace, "as after a resume")


def test_several_runs_of_several_epochs_stay_several(tmp_path: Path) -> None:
    run = "".join(f"epoch {e} step {s}/100 loss {5 - e - s / 1e3:.3f}\n" for e in (1, 2) for s in (25, 50, 75, 100))
    made = read(READER, written(tmp_path, "x.log", run * 2))
    assert [column(trace, "step") for trace in made] == [list(range(25, 201, 25))] * 2
