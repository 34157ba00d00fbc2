"""The writer as a training loop sees it: numbers, ranks, resuming, crashes, and what it does without."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim.shampoo import Shampoo
from foam_viz.trace import AutosaveError, Stream, Writer
from foam_viz.trace.disk import bundle
from tests.synthetic import SyntheticRun

ROOT = Path(__file__).resolve().parents[2]


def test_numbers_of_a_step_share_a_row(tmp_path: Path):
    with Writer(tmp_path / "run", units={"validation/accuracy": "fraction"}) as writer:
        writer.log(0, held_out_loss=3.0)
        writer.log(1, loss=torch.tensor(2.0, requires_grad=True), tokens=np.int64(512))
        writer.log(1, {"validation/accuracy": 0.25}, epoch=1)
        writer.log(2, loss=math.nan, gradient_norm=math.inf, tokens=None)
        writer.log(3, loss=np.float32(0.5))
    trace = bundle.read(tmp_path / "run")
    assert trace.values("steps", "step").tolist() == [0, 1, 2, 3]
    assert trace.steps["held_out_loss"].to_pylist() == [3.0, None, None, None]
    losses = trace.steps["loss"].to_pylist()
    assert (losses[0], losses[1], losses[3]) == (None, 2.0, 0.5)
    assert math.isnan(losses[2])
    assert trace.steps["gradient_norm"].to_pylist() == [None, None, math.inf, None]
    assert trace.steps["tokens"].to_pylist() == [None, 512, None, None]
    assert trace.steps["validation/accuracy"].to_pylist() == [None, 0.25, None, None]
    assert trace.unit("validation/accuracy") == "fraction"
    seconds = trace.steps["total_seconds"].to_pylist()
    assert seconds == sorted(seconds) and seconds[0] >= 0
    assert trace.manifest.status == "finished"
    assert trace.manifest.config["writer"]["rank"] == 0
    assert trace.manifest.config["writer"]["world_size"] == 1


def test_what_is_no_number_is_left_out_aloud(tmp_path: Path, caplog):
    with Writer(tmp_path / "run") as writer:
        for step in (1, 2):
            writer.log(
                step, {"step": 9, "": 1.0}, loss=torch.zeros(2), decompositions=1.5, learning_rate="0.1", ok=step
            )
        writer.log(-1, loss=1.0)
        writer.log("x", loss=1.0)
        writer.event(2, "pause", "a pause", value=torch.tensor(3.0))
    trace = bundle.read(tmp_path / "run")
    assert trace.values("steps", "step").tolist() == [1, 2]
    assert trace.steps["ok"].to_pylist() == [1.0, 2.0]
    assert trace.steps["loss"].null_count == 2
    events = trace.events.to_pylist()
    assert [event["kind"] for event in events].count("bad-value") == 3
    assert [event["kind"] for event in events].count("bad-name") == 2
    assert [event["kind"] for event in events].count("log-failed") == 1  # both are ValueErrors: told once
    assert {event["kind"]: event["value"] for event in events}["pause"] == 3.0
    assert "a tensor of shape (2,)" in caplog.text


def test_a_falling_step_is_kept_and_noted(tmp_path: Path):
    with Writer(tmp_path / "run") as writer:
        for step in (5, 6, 1, 2):
            writer.log(step, loss=1.0)
    trace = bundle.read(tmp_path / "run")
    assert trace.values("steps", "step").tolist() == [5, 6, 1, 2]
    assert [event["kind"] for event in trace.events.to_pylist()] == ["step-falls"]


@pytest.mark.parametrize(
    ("losses", "status", "step"),
    [((1.0, math.nan, 0.5), "finished", None), ((1.0, math.inf, math.nan), "diverged", 2)],
)
def test_a_run_that_ends_without_a_loss_diverged(tmp_path: Path, losses, status, step):
    with Writer(tmp_path / "run") as writer:
        for at, loss in enumerate(losses, 1):
            writer.log(at, loss=loss)
    manifest = bundle.read(tmp_path / "run").manifest
    assert (manifest.status, manifest.diverged_step) == (status, step)


def test_an_exception_in_the_loop_passes_and_is_told(tmp_path: Path):
    with pytest.raises(KeyError), Writer(tmp_path / "run") as writer:
        writer.log(1, loss=1.0)
        raise KeyError("a mistake of the loop")
    trace = bundle.read(tmp_path / "run")
    assert (trace.manifest.status, len(trace.steps)) == ("interrupted", 1)


def test_calls_after_close_do_nothing(tmp_path: Path, caplog):
    writer = Writer(tmp_path / "run")
    writer.log(1, loss=1.0)
    writer.close()
    writer.close()
    writer.log(2, loss=1.0)
    writer.observe(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    assert len(bundle.read(tmp_path / "run").steps) == 1
    assert "after close" in caplog.text


def test_configuration_of_any_kind_is_kept(tmp_path: Path):
    config = {"path": Path("data"), "dtype": torch.float32, "nested": {"shape": (1, 2)}, "nothing": None}
    with Writer(tmp_path / "run", name="a name", config=config, task="a task") as writer:
        writer.log(1, loss=1.0)
    manifest = bundle.read(tmp_path / "run").manifest
    assert manifest.config["path"] == "data"
    assert manifest.config["dtype"] == "torch.float32"
    assert manifest.config["nested"] == {"shape": [1, 2]}
    assert (manifest.name, manifest.task) == ("a name", "a task")
    assert manifest.software["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"snapshot_every": 0}, "snapshot_every = 0"),
        ({"factors": "0.block_0.0"}, "must be a list of patterns"),
        ({"stream": {"every": 10}}, "must be a foam_viz.trace.Stream"),
        ({"rank": 2, "world_size": 2}, "rank must be from 0 to world_size - 1"),
        ({"rank": 0.5}, "rank = 0.5"),
        ({"resume_step": -1}, "resume_step = -1"),
        ({"config": [1]}, "config"),
        ({"units": {"a": 1}}, "units['a']"),
    ],
)
def test_misuse_is_refused_at_once(tmp_path: Path, arguments, says):
    with pytest.raises((ValueError, TypeError)) as caught:
        Writer(tmp_path / "run", **arguments)
    assert says in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_stream_is_checked_when_it_is_made():
    for bad in (
        {"factors": "0"},
        {"factors": ()},
        {"factors": ("0",), "every": 0},
        {"factors": ("0",), "byte_cap": 1.5},
    ):
        with pytest.raises(ValueError, match="Stream"):
            Stream(**bad)


def test_a_bad_environment_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ValueError, match="RANK = 'first'"):
        Writer(tmp_path / "run")


def test_ranks_write_beside_each_other(tmp_path: Path, monkeypatch):
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        with Writer(tmp_path / "run") as writer:
            writer.log(1, loss=float(rank))
    manifests = [bundle.read_manifest(tmp_path / "run" / f"rank_{rank:05d}") for rank in range(2)]
    writers = [manifest.config["writer"] for manifest in manifests]
    assert [(w["rank"], w["world_size"]) for w in writers] == [(0, 2), (1, 2)]
    assert writers[0]["run"] == writers[1]["run"]
    assert manifests[0].run_id != manifests[1].run_id
    assert manifests[0].name == manifests[1].name == "run"


def test_a_path_with_a_run_is_refused_or_continued(tmp_path: Path):
    with Writer(tmp_path / "run", units={"a": "s"}) as writer:
        for step in range(1, 11):
            writer.log(step, loss=1.0 / step, decompositions=2 * step)
    with pytest.raises(ValueError, match="holds the run 'run' already.*resume_step"):
        Writer(tmp_path / "run")
    with pytest.raises(ValueError, match="has 's'"):
        Writer(tmp_path / "run", units={"a": "min"}, resume_step=6)
    before = bundle.read(tmp_path / "run")
    with Writer(tmp_path / "run", resume_step=6) as writer:
        for step in range(7, 9):
            writer.log(step, loss=0.0)
    trace = bundle.read(tmp_path / "run")
    assert trace.values("steps", "step").tolist() == list(range(1, 9))
    assert trace.steps["loss"].to_pylist()[5:] == [1 / 6, 0.0, 0.0]
    assert trace.manifest.run_id == before.manifest.run_id
    assert "continued after step 6" in trace.manifest.notes
    seconds = trace.steps["total_seconds"].to_pylist()
    assert seconds == sorted(seconds)


def test_a_rank_that_starts_at_a_resume_joins_its_siblings(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    Writer(tmp_path / "run", rank=0, world_size=2).close()
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    Writer(tmp_path / "run", rank=1, world_size=2, resume_step=5).close()
    writers = [bundle.read_manifest(tmp_path / "run" / f"rank_0000{rank}").config["writer"] for rank in range(2)]
    assert writers[0]["run"] == writers[1]["run"]


def test_a_run_of_another_program_is_refused(tmp_path: Path):
    trace = SyntheticRun().advance(20).trace
    bundle.write(trace, tmp_path / "run")
    with pytest.raises(ValueError, match="no Writer wrote"):
        Writer(tmp_path / "run", resume_step=5)


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AutosaveError):
        Writer(tmp_path / "file")


def test_a_disk_that_fails_costs_no_training(tmp_path: Path, monkeypatch, caplog):
    writer = Writer(tmp_path / "run")

    def full(*_):
        raise AutosaveError(tmp_path, "no space left on device", "Make room.")

    writer.log(1, loss=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(writer._autosave, "flush", full)
        writer.log(2, loss=1.0)
        writer.flush()
    writer.log(3, loss=1.0)
    writer.close()
    assert "no space left" in caplog.text
    assert bundle.read(tmp_path / "run").values("steps", "step").tolist() == [1, 2, 3]


def test_a_kill_costs_the_last_second_at_most(tmp_path: Path):
    script = f"""
        import time
        from foam_viz.trace import Writer
        writer = Writer({str(tmp_path / "run")!r})
        for step in range(1, 10**9):
            writer.log(step, loss=1.0)
            print(step, flush=True)
            time.sleep(0.01)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    last, until = 0, time.monotonic() + 2.5
    while time.monotonic() < until or last < 150:
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = bundle.read(tmp_path / "run").values("steps", "step").tolist()
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > last - 150
    assert bundle.read_manifest(tmp_path / "run").status == "running"


def test_a_script_that_ends_without_close_loses_nothing(tmp_path: Path):
    script = f"from foam_viz.trace import Writer; w = Writer({str(tmp_path / 'run')!r}); w.log(1, loss=1.0)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    trace = bundle.read(tmp_path / "run")
    assert (len(trace.steps), trace.manifest.status) == (1, "interrupted")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_write(tmp_path: Path):
    with Writer(tmp_path / "run") as writer:
        writer.log(1, loss=1.0)
        child = os.fork()
        if not child:
            writer.flush()
            writer.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert not list((tmp_path / "run" / "tables").iterdir())
    assert len(bundle.read(tmp_path / "run").steps) == 1


def test_numpy_pyarrow_and_torch_are_enough(tmp_path: Path):
    """Everything else that is installed is made unimportable, and a Shampoo-like training is recorded."""
    script = f"""
        import importlib.abc, importlib.util, sys

        class Block(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                top = name.split(".")[0]
                allowed = {{"numpy", "pyarrow", "foam_viz", "tests"}} | sys.stdlib_module_names
                if top not in allowed and not top.startswith("_sysconfigdata"):
                    raise ModuleNotFoundError(f"{{name}} is blocked")
                if name.startswith("foam_viz.") and not name.startswith(("foam_viz.trace", "foam_viz.recording")):
                    raise ModuleNotFoundError(f"{{name}} is blocked")
                return None

        {{}}
        sys.meta_path.insert(0, Block())
        from foam_viz.trace import Writer
        with Writer({str(tmp_path)!r} + "/NAME") as writer:
            BODY
    """
    plain = "writer.log(1, loss=2.0)"
    trained = """net = torch.nn.Linear(4, 3, bias=False)
            optimizer = DistributedShampoo(net.parameters(), precondition_frequency=2)
            writer.observe(optimizer)
            for step in range(1, 5):
                net(torch.randn(2, 4)).square().mean().backward()
                optimizer.step()
                writer.log(step, loss=1.0)"""
    for name, first, body in (
        ("plain", "pass", plain),
        ("trained", "import torch, torch._dynamo; from tests.recording.optimizers import DistributedShampoo", trained),
    ):
        text = script.replace("{}", first).replace("NAME", name).replace("BODY", body)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text)], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    assert len(bundle.read(tmp_path / "plain").steps) == 1
    trace = bundle.read(tmp_path / "trained")
    assert trace.checks["decision"].to_pylist().count("first") == 2
    assert len(trace.snapshots) == 2


def test_the_documented_example_records(tmp_path: Path, monkeypatch):
    text = (ROOT / "docs" / "recorder.md").read_text(encoding="utf-8")
    example = text.split("<!-- example -->\n```python\n")[1].split("```")[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    model = torch.nn.Linear(5, 4)
    names = {"model": model, "optimizer": Shampoo(model.parameters(), lr=1e-2)}
    monkeypatch.chdir(tmp_path)
    exec(example, {**names, "batches": iter(lambda: torch.randn(8, 5), None)})
    trace = bundle.read(tmp_path / "runs" / "first")
    assert trace.values("steps", "step").tolist() == list(range(1, 101))
    assert len(trace.checks) == 30
    assert [info.parameter for info in trace.manifest.factors] == ["weight", "weight", "bias"]
    assert trace.manifest.config["lr"] == 1e-3
