"""Sweeps: what is refused, real runs by processes and by a Dask cluster, stop and resume, failures that end nothing."""

from __future__ import annotations

import os
import socket
import warnings
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from foam_viz import cli
from foam_viz.engine.sweep import results, runner, spec, worker
from foam_viz.engine.sweep.runner import SchedulerError, SweepRunner, Workers
from foam_viz.engine.sweep.spec import Sweep
from foam_viz.logs import read as read_logs
from foam_viz.optim.fields import FieldError
from foam_viz.recording import stream
from foam_viz.trace.disk import bundle

SMALL = {"steps": 12, "settings": {"width": 16, "period": 5, "start": 5}}


def threads(count: int = 2) -> Workers:
    return Workers(count, lambda: ThreadPoolExecutor(count), "threads")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"optimisers": ["foam"]}, "did you mean optimizers"),
        ({"settings": {"taw": 0.5}}, "did you mean tau"),
        ({"settings": {"tau": [0.5, 3]}}, "tau = 3: must be a number strictly between 0 and 1"),
        ({"seeds": list(range(1000)), "settings": {"tau": [i / 1001 for i in range(1, 1001)]}}, "1,000,000 runs"),
        ({"optimizers": ["adamm"]}, "did you mean adamw"),
        ({"tasks": []}, "not an empty list"),
        ({"steps": 0}, "steps = 0"),
        ({"stream": "yes"}, "true or false"),
        ({"settings": {"tau": {"a": 1}}}, "a flat list"),
        (["foam"], "a mapping with tasks"),
    ],
)
def test_what_a_sweep_refuses(data: object, told: str) -> None:
    with pytest.raises(FieldError) as error:
        spec.build(data)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: [", "YAML"), ("a: &x [1]\nb: *x", "without references"), ("!!python/name:os.system", "YAML")],
)
def test_what_is_no_yaml_of_ours(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(FieldError) as error:
        spec.read(tmp_path / "spec.yaml")
    assert told in str(error.value)


def test_a_specification_that_is_not_there_or_empty_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.yaml").write_text("")
    for path, told in (
        (tmp_path / "missing.yaml", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "empty.yaml", "it is empty"),
    ):
        assert cli.main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
        err = capsys.readouterr().err
        assert f"SPEC = {path}" in err.replace("...", "") or str(path)[:70] in err
        assert told in err and "Errno" not in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", ["0", "-2"])
def test_no_workers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: str) -> None:
    (tmp_path / "spec.yaml").write_text("steps: 12\n")
    out = tmp_path / "out"
    assert cli.main(["sweep", str(tmp_path / "spec.yaml"), "--out", str(out), f"--workers={count}"]) == 2
    assert f"--workers = {count}: must be an integer from 1" in capsys.readouterr().err and not out.exists()


def _row(name: str, loss: float | None, *, task: str = "a", seed: int = 0, status: str = "finished", **more) -> dict:
    return {"name": name, "status": status, "message": "", "task": task, "optimizer": "foam", "seed": seed, "tau": 0.5,
            "loss": loss, "decompositions": 10, **more}  # fmt: skip


def test_the_best_is_a_setting_of_one_task_and_a_mean_over_seeds() -> None:
    rows = [
        _row("lucky", 0.1, seed=0, tau=0.3),
        _row("unlucky", 0.9, seed=1, tau=0.3),
        _row("good", 0.3, seed=0),
        _row("good too", 0.4, seed=1),
        _row("best but once", 0.05, tau=0.9, seed=0),
        _row("gone", None, tau=0.9, seed=1, status="diverged"),
        _row("other task", 7.0, task="b", arms=2),
    ]
    first, other = results.best(rows)
    assert (first.task, [row["name"] for row in first.runs]) == ("a", ["good", "good too"])
    assert first.loss == pytest.approx(0.35) and first.words == "mean of 2 seeds"
    assert (other.task, other.loss, other.words) == ("b", 7.0, "seed 0 alone")
    assert results.varied(rows) == ["tau"], "what one task has and the other has not was not swept"
    assert results.best([_row("x", None, status="waiting")]) == []


def test_what_is_swept_of_the_task_and_the_run_is_told(tmp_path: Path) -> None:
    settings = {**SMALL["settings"], "width": [8, 16], "lr": [0.01, 0.02]}
    one = SweepRunner(spec.build({"steps": 6, "settings": settings}), tmp_path / "out")
    one.run(threads(1))
    rows = results.read(tmp_path / "out")
    assert sorted(results.varied(rows)) == ["lr", "width"]
    assert {(row["width"], row["lr"]) for row in rows} == {(8, 0.01), (8, 0.02), (16, 0.01), (16, 0.02)}
    assert len(results.best(rows)) == 1 and len(results.best(rows)[0].runs) == 1, "widths are no seeds"


def test_a_grid_has_every_combination_once(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "optimizers: [foam, shampoo]\nseeds: [0, 1]\nsteps: 20\n"
        "settings: {tau: [0.3, 0.6], epsilon: 1e-6, period: 10}\n"
    )
    sweep = spec.read(tmp_path / "spec.yaml")
    told = [(r.config["optimizer"], r.config["optimizer_settings"].get("tau"), r.config["run_settings"]["seed"])
            for r in sweep.runs]  # fmt: skip
    assert told == [
        *(("foam", tau, seed) for tau in (0.3, 0.6) for seed in (0, 1)),
        *(("shampoo", None, seed) for seed in (0, 1)),
    ]
    assert sweep.repeated == 0 and {r.config["optimizer_settings"]["epsilon"] for r in sweep.runs} == {1e-6}
    again = spec.read(tmp_path / "spec.yaml")
    assert [run.name for run in again.runs] == [run.name for run in sweep.runs]


def test_the_command_trains_resumes_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "spec.yaml", tmp_path / "out"
    path.write_text("steps: 12\nstream: true\nseeds: [0, 1]\nsettings: {tau: [0.3, 0.6], width: 16, period: 5}\n")
    assert cli.main(["sweep", str(path), "--out", str(out), "--workers", "2"]) == 0
    told = capsys.readouterr().out
    assert "4 runs by 2 processes" in told and "4 finished" in told and "least loss" in told
    rows = results.read(out)
    assert [row["status"] for row in rows] == ["finished"] * 4 and all(row["loss"] > 0 for row in rows)
    assert (out / "results.csv").read_text().startswith("name,status,")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing in the folder is complained about, the streams neither
        names = {trace.manifest.name for trace in read_logs(out) if len(trace.checks)}
    assert names == {row["name"] for row in rows}, "results are ordinary runs"
    assert stream.read(out / rows[0]["name"]).samples
    assert cli.main(["sweep", str(path), "--out", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err
    before = {row["name"]: (out / row["name"] / "manifest.json").stat().st_mtime_ns for row in rows}
    path.write_text(path.read_text().replace("[0, 1]", "[0, 1, 2]"))
    assert cli.main(["sweep", str(path), "--out", str(out), "--resume", "--workers", "2"]) == 0
    assert "4 of them there already" in capsys.readouterr().out
    assert len(results.read(out)) == 6
    after = {name: (out / name / "manifest.json").stat().st_mtime_ns for name in before}
    assert after == before, "finished runs are not trained again"


def test_a_failed_run_does_not_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = spec.build({**SMALL, "seeds": [0, 1, 2]})
    real = worker.train

    def sometimes(name: str, *rest: object) -> dict:
        if "seed1" in name:
            raise MemoryError("no room")
        return real(name, *rest)

    monkeypatch.setattr(worker, "train", sometimes)
    one = SweepRunner(sweep, tmp_path / "out")
    one.run(threads())
    assert [outcome.status for outcome in one.outcomes.values()] == ["finished", "failed", "finished"]
    failed = next(o for o in one.outcomes.values() if o.status == "failed")
    assert failed.message == "MemoryError: no room"
    assert results.read(tmp_path / "out")[1]["message"] == failed.message
    monkeypatch.setattr(worker, "train", real)
    again = SweepRunner(sweep, tmp_path / "out", resume=True)
    assert [outcome.done for outcome in again.outcomes.values()] == [True, False, True]
    again.run(threads())
    assert all(outcome.status == "finished" for outcome in again.outcomes.values())


def die_at_seed_1(name: str, *rest: object) -> dict:
    if "seed1" in name:
        os._exit(7)
    return worker.train(name, *rest)


def test_a_worker_that_dies_costs_only_its_own_run(tmp_path: Path) -> None:
    sweep = spec.build({**SMALL, "seeds": [0, 1, 2]})

    class Deadly(Executor):
        def __init__(self) -> None:
            self._pool = runner.local_workers(2).open()

        def submit(self, work: object, /, *arguments: object, **_: object) -> Future:
            return self._pool.submit(die_at_seed_1, *arguments)

        def shutdown(self, wait: bool = True, **rest: object) -> None:
            self._pool.shutdown(wait)

    one = SweepRunner(sweep, tmp_path / "out")
    one.run(Workers(2, Deadly, "processes of which some die"))
    assert [outcome.status for outcome in one.outcomes.values()] == ["finished", "failed", "finished"]
    assert "died twice" in list(one.outcomes.values())[1].message


def test_a_sweep_is_stopped_and_goes_on(tmp_path: Path) -> None:
    sweep = spec.build({**SMALL, "seeds": [0, 1, 2, 3], "steps": 60})
    one = SweepRunner(sweep, tmp_path / "out")

    def stop(running: SweepRunner) -> None:
        if any(outcome.done for outcome in running.outcomes.values()):
            running.stop()

    one.run(threads(), stop)
    statuses = [outcome.status for outcome in one.outcomes.values()]
    assert "finished" in statuses and "stopped" in statuses and "training" not in statuses
    again = SweepRunner(sweep, tmp_path / "out", resume=True)
    kept = sum(outcome.kept for outcome in again.outcomes.values())
    assert kept == statuses.count("finished")
    again.run(threads())
    assert all(outcome.status == "finished" for outcome in again.outcomes.values())


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    one = SweepRunner(spec.build({"optimizers": "sgd", "steps": 30, "settings": {"lr": 1000}}), tmp_path / "out")
    one.run(threads())
    (outcome,) = one.outcomes.values()
    assert outcome.status == "diverged"
    assert bundle.read(tmp_path / "out" / outcome.name).manifest.diverged_step


def test_a_real_cluster_of_two_worker_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        workers = runner.workers_of(cluster.scheduler_address)
        assert workers.count == 2
        sweep: Sweep = spec.build({**SMALL, "seeds": [0, 1, 2]})
        one = SweepRunner(sweep, tmp_path / "out")
        one.run(workers)
        workers.close()
    assert [outcome.status for outcome in one.outcomes.values()] == ["finished"] * 3
    local = SweepRunner(sweep, tmp_path / "local")
    local.run(threads(1))  # the seed of a model is the process's: two threads of one could take each other's
    for run in sweep.runs:
        losses = [bundle.read(tmp_path / place / run.name).values("steps", "loss") for place in ("out", "local")]
        assert (losses[0] == losses[1]).all()


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(runner, "_DASK_SECONDS", 1)
    with pytest.raises(SchedulerError, match="no Dask scheduler answers there.*unset FOAM_VIZ_SCHEDULER"):
        runner.workers_of("tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["nonsense", "nonsense://", "tcp://host", "tcp://host:port", "http://host:1/x"])
def test_what_is_no_address_of_a_scheduler_is_refused_at_once(address: str) -> None:
    with pytest.raises(SchedulerError, match="must be the address of a Dask scheduler, tcp://HOST:PORT"):
        runner.workers_of(address)


def test_a_scheduler_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(runner, "_DASK_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(SchedulerError, match="accepts connections and says nothing.*unset FOAM_VIZ_SCHEDULER"):
            runner.workers_of(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
