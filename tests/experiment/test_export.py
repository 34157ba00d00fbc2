"""What is taken away of a run - its program and its command - makes the same first steps, whatever optimizes it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from foam_viz import cli
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config, export
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.trace.disk import bundle
from foam_viz.ui.take_away import FORMS
from tests.engine.test_run import assert_same_rows, recorded

STEPS = 12
"""Past the first check of every optimizer, decompositions included."""


def _config(optimizer: str, task: str = "digits-autoencoder", **settings: object) -> dict:
    own = {"width": 16} if task == "digits-autoencoder" else {"width": 16, "depth": 1, "context": 8}
    quick = {name: 5 for name in ("period", "start") if name in {f.name for f in OPTIMIZERS[optimizer].all_fields}}
    experiment, errors = config.build(
        task, {"batch_size": 8, **own}, {"steps": STEPS, "seed": 3}, [(optimizer, {**quick, **settings})]
    )
    assert not errors
    return experiment.lane_config(0)


CASES = [*((name, "digits-autoencoder", {}) for name in OPTIMIZERS), ("foam", "tiny-gpt", {"precondition": "matrices"})]


@pytest.mark.parametrize(("optimizer", "task", "settings"), CASES, ids=[f"{name}-{task}" for name, task, _ in CASES])
def test_program_and_command_make_the_steps_of_the_run(
    optimizer: str, task: str, settings: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(_config(optimizer, task, **settings), run_id="a")
    trace = recorded(run, STEPS)
    told = trace.manifest.config
    assert set(FORMS) <= set(export.FORMS)
    exec(compile(export.FORMS["python"](told), "program", "exec"), {"__name__": "__main__"})
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert printed == list(trace.values("steps", "loss"))
    words = shlex.split(export.FORMS["cli"](told), comments=True)
    assert words[:3] == ["python", "-m", "foam_viz"]
    at = words.index("--out")
    cli.main([*words[3:at], "--out", str(tmp_path / "run"), *words[at + 2 :]])
    assert_same_rows(trace, bundle.read(tmp_path / "run"))
