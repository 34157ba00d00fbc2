"""An optimizer, a task, a panel or a reader is added by one file and one entry of a catalogue, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from foam_viz.cli import main
from foam_viz.experiment import links
from foam_viz.figures import catalogue as panels
from foam_viz.figures.look import Look
from foam_viz.figures.scene import Lane, Scene
from foam_viz.logs import read_all
from foam_viz.logs.core import catalogue as formats
from foam_viz.logs.core import reading
from foam_viz.optim import catalogue as optimizers
from foam_viz.tasks import catalogue as tasks
from foam_viz.trace.disk import bundle
from tests.toys import optimizer, panel, reader, task


@pytest.fixture
def catalogued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optimizers.OPTIMIZERS, optimizer.ENTRY.name, optimizer.ENTRY)
    monkeypatch.setitem(tasks.TASKS, task.ENTRY.name, task.ENTRY)
    monkeypatch.setattr(panels, "PANELS", (*panels.PANELS, panel.ENTRY))
    with_toy = (reader.READER, *formats.READERS)
    monkeypatch.setattr(formats, "READERS", with_toy)
    monkeypatch.setattr(reading, "READERS", with_toy)


@pytest.mark.usefixtures("catalogued")
def test_a_toy_of_each_is_used_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The command line trains the optimizer on the task, with settings checked by their entries.
    run = ["train", "--task", "linear-map", "--optimizer", "sign-descent", "--device", "cpu", "--quiet"]
    assert main([*run, "--steps", "40", "--set", "lr=0.02", "--set", "width=8", "--out", str(tmp_path / "run")]) == 0
    assert "sign-descent on linear-map" in capsys.readouterr().out
    assert main([*run, "--set", "lr=-1", "--out", str(tmp_path / "refused")]) == 2
    assert "lr" in capsys.readouterr().err
    trace = bundle.read(tmp_path / "run")
    losses = trace.values("steps", "loss")
    assert losses[-5:].mean() < losses[:5].mean() / 2

    # A link opens them, and gives the same settings back.
    query = {"task": ["linear-map"], "lane": ["sign-descent:lr=0.02"], "width": ["8"]}
    experiment, errors = links.from_query(query)
    assert not errors
    assert (experiment.task, experiment.lanes[0].optimizer) == ("linear-map", "sign-descent")
    assert links.from_query(as_lists(links.to_query(experiment))) == (experiment, [])

    # The panel stands on every page of runs that have what it needs, and draws them.
    lanes = [Lane(trace, "sign descent", 0)]
    assert panel.ENTRY in panels.panels_for(lanes)
    drawing = panel.ENTRY.draw(Scene(lanes, Look()))
    assert drawing.figure is not None
    assert drawing.moment == "step 40"
    assert panel.ENTRY not in panels.panels_for(lanes_without_rates(tmp_path))

    # The reader's format is recognised among all others, its errors name the place.
    (tmp_path / "mine.txt").write_text("@1 3.5\n@2 3.25\n")
    (found,) = read_all([tmp_path / "mine.txt"]).traces
    assert found.manifest.format == "at-lines"
    assert found.values("steps", "loss").tolist() == [3.5, 3.25]
    (tmp_path / "broken.txt").write_text("@1 3.5\n@two\n")
    (problem,) = read_all([tmp_path / "broken.txt"]).problems
    assert "line 2" in str(problem)


def as_lists(query: dict[str, str | list[str]]) -> dict[str, list[str]]:
    return {key: [value] if isinstance(value, str) else value for key, value in query.items()}


def lanes_without_rates(folder: Path) -> list[Lane]:
    (folder / "losses.txt").write_text("@1 3.5\n")
    return [Lane(read_all([folder / "losses.txt"]).traces[0], "losses", 0)]


def test_the_guide_names_the_toys() -> None:
    root = Path(__file__).resolve().parents[1]
    guide = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in (root / "tests" / "toys").glob("*.py"):
        if path.name != "__init__.py":
            assert f"tests/toys/{path.name}" in guide
