"""What a comparison begins with, and how runs are chosen by name."""

from __future__ import annotations

import pytest

from foam_viz.trace import Manifest, Trace
from foam_viz.ui.run_logs.compare import at_first, matching
from foam_viz.ui.session.logs import Run


def _run(key: str, label: str = "run", origin: str = "a.zip", **manifest: str) -> Run:
    return Run(key, label, Trace.empty(Manifest(run_id=key, name=label, **manifest)), origin)


SAMPLES = [_run("sample/digits", task="digits"), _run("sample/gpt", task="gpt"), _run("sample/more", task="digits")]


def test_without_files_samples_of_one_task_are_compared() -> None:
    assert at_first(SAMPLES) == ["sample/digits", "sample/more"]


def test_files_take_the_place_of_samples_and_runs_of_one_kind_stand_together() -> None:
    files = [_run("f/1", format="wandb"), _run("f/2", format="csv"), _run("f/3", format="wandb")]
    assert at_first([*files, *SAMPLES]) == ["f/1", "f/3"]
    odd = _run("f/0", format="huggingface")
    assert at_first([odd, *files]) == ["f/1", "f/3"], "the kind of most, not of the first"
    assert at_first([odd, files[1]]) == ["f/0"]


def test_a_live_run_stands_beside_the_logs() -> None:
    live = _run("live/0/0", task="digits")
    assert at_first([_run("f/1", format="csv"), live, *SAMPLES]) == ["f/1", "live/0/0"]
    assert at_first([live, *SAMPLES]) == ["live/0/0"]


def test_never_more_than_a_dozen_stand_there_unasked() -> None:
    assert len(at_first([_run(f"f/{place}", format="csv") for place in range(40)])) == 12


@pytest.mark.parametrize(
    ("text", "found"),
    [("foam", ["a", "b"]), ("seed=[01]$", ["a"]), ("second.zip", ["c"]), ("[b", ["d"]), ("nobody", [])],
)  # fmt: skip
def test_runs_are_chosen_by_a_part_of_their_name_or_source_or_an_expression(text: str, found: list[str]) -> None:
    runs = [_run("a", "FOAM seed=0"), _run("b", "FOAM seed=12"), _run("c", "x", "second.zip"), _run("d", "odd [b name")]
    assert matching(runs, text) == found


def test_runs_are_chosen_by_a_file_that_they_were_read_from() -> None:
    runs = [_run("a"), Run("b", "b", Trace.empty(Manifest(run_id="b", name="b", files=("x/log_7.csv",))), "2 files")]
    assert matching(runs, r"log_\d") == matching(runs, "x/log") == ["b"]
