from __future__ import annotations

import csv
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from foam_viz.engine.replay.plan import prepare_path
from foam_viz.logs.core.reader import LogError
from foam_viz.logs.formats.foam_artifact import READER
from foam_viz.recording import stream
from foam_viz.trace import Trace, summarize
from foam_viz.trace.eigenbasis import turned
from tests.logs.examples import examples
from tests.logs.make_foam_artifact import (
    DIAGNOSTICS_HEAD,
    METRICS_HEAD,
    diagnostics_rows,
    make_foam_artifact,
    metrics_row,
    printed_lines,
    table,
    write_snapshot,
)
from tests.logs.reading import column, folder_files, read, said, source, written
from tests.rows import factor_rows

SNAPSHOT = "factor_snapshots/epoch_001_rank_0000.pt"


def run_of(tmp_path: Path) -> Path:
    return make_foam_artifact(tmp_path) / "runs" / "tiny_foam"


def only(run: Path, *names: str) -> Trace:
    (trace,) = read(READER, *(file for file in folder_files(run) if file.name in names))
    return trace


def checks(trace: Trace, name: str, factor: int | None) -> list[float | None]:
    return factor_rows(trace, "checks", factor)[name].to_pylist()


def test_steps_of_a_whole_directory(tmp_path: Path) -> None:
    files = folder_files(make_foam_artifact(tmp_path))
    (group,) = READER.find(files)
    assert {file.name for file in group} == {file.name for file in files}
    (trace,) = read(READER, *files)
    assert trace.manifest.format == "foam-artifact" and trace.manifest.name == "tiny_foam"
    assert column(trace, "step") == list(range(1, 21))
    assert column(trace, "loss") == [3.0 - step / 16 for step in range(1, 21)]
    assert column(trace, "epoch")[:9] == [step / 8 for step in range(1, 10)] and column(trace, "epoch")[19] == 3
    at_epochs = {name: [column(trace, name)[step - 1] for step in (8, 16, 20)] for name in trace.steps.column_names}
    assert at_epochs["held_out_loss"] == [2.5, 2.25, 2.0] and at_epochs["val_accuracy"] == [12.5, 25.0, 37.5]
    assert at_epochs["optimizer_seconds"] == [4.0, 8.0, 12.0] and at_epochs["total_seconds"] == [6.0, 12.0, 18.0]
    assert at_epochs["decompositions"] == [5, 7, 9] and at_epochs["train_online_objective"] == [3.0, 2.75, 2.5]
    assert trace.units["val_accuracy"] == "%" and trace.units["left_epsilon_mean"] == "gradient^2"
    assert trace.units["evd_seconds_sum"] == "s" and column(trace, "held_out_loss")[0] is None
    assert not {"train_full_ce", "wall_clock_seconds"} & set(trace.steps.column_names)
    assert source(trace, "val_ce") == {
        "source": "val_ce", "target": "held_out_loss", "unit": "", "scale": 1.0, "guessed": False,
        "samples": ["2.5", "2.25", "2"],
    }  # fmt: skip
    assert said(trace, "objective printed at each step") and said(trace, "factor_dimensions", "2;3;4")


def test_settings_and_machine(tmp_path: Path) -> None:
    manifest = only(run_of(tmp_path), "metrics.csv", "resolved_config.yaml", "run_manifest.json").manifest
    assert manifest.config["matrix_root_inv_threshold"] == 0.5 and manifest.config["epsilon_left"] is None
    assert manifest.config["steps_planned"] == 20 and manifest.config["batch_size"] == 16
    assert manifest.optimizer == "foam" and manifest.device == "cuda" and manifest.status == "finished"
    assert manifest.hardware == {"device": "cuda", "device_name": "RTX 4090", "world_size": 2}
    assert manifest.software == {"framework": "pytorch", "torch": "2.7.0", "python": "3.11.7", "commit": "76f1a1a"}


def test_cumulative_counters_become_intervals(tmp_path: Path) -> None:
    trace = only(run_of(tmp_path), "metrics.csv", "factor_diagnostics.csv")
    assert [info.id for info in trace.manifest.factors] == ["0.block_0.0", "1.block_0.0", "1.block_0.1", "2.block_0.0"]
    assert [(i.dim, i.order, i.size, i.side) for i in trace.manifest.factors][1:3] == [
        (0, 2, 4, "left"),
        (1, 2, 3, "right"),
    ]
    assert checks(trace, "interval_start", 1) == [1, 9, 17] and checks(trace, "step", 1) == [8, 16, 20]
    assert checks(trace, "checks", 1) == [4, 4, 2] and checks(trace, "decompositions", 1) == [1, 2, 1]
    assert checks(trace, "reuses", 1) == [3, 2, 1] and checks(trace, "cap_refreshes", 1) == [0, 0, 0]
    assert checks(trace, "epsilon", 1) == [0.001, 0.002, 0.003] and checks(trace, "proxy", 1) == [0.25] * 3
    assert checks(trace, "relative_condition", 1) == [0.75] * 3 and checks(trace, "last_decomposition_step", 1) == [
        2,
        6,
        8,
    ]
    assert checks(trace, "decision", 1) == [None] * 3 and checks(trace, "checks", None) == []
    summary = summarize(trace)
    assert (summary["checks"], summary["decompositions"]) == (40, 9)
    assert (summary["decompositions_per_check_left"], summary["decompositions_per_check_right"]) == (0.4, 0.2)


def test_metrics_alone_count_all_factors_together(tmp_path: Path) -> None:
    trace = only(run_of(tmp_path), "metrics.csv")
    assert checks(trace, "checks", None) == [16, 16, 8] and checks(trace, "decompositions", None) == [5, 2, 2]
    assert checks(trace, "interval_start", None) == [1, 9, 17] and trace.manifest.factors == ()
    assert summarize(trace)["checks"] == 40 and said(trace, "No factor_diagnostics.csv")
    assert column(trace, "loss") == [3.0, 2.75, 2.5] and said(trace, "mean of the objective over an epoch")


def test_diagnostics_of_some_ranks_leave_totals_to_the_metrics(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    lines = (run / "factor_diagnostics.csv").read_text().splitlines()
    (run / "factor_diagnostics.csv").write_text("\n".join(line for line in lines if "2.block" not in line) + "\n")
    trace = only(run, "metrics.csv", "factor_diagnostics.csv")
    assert summarize(trace)["checks"] == 40 and said(trace, "covers 30 of 40 checks")
    assert summarize(trace)["decompositions_per_check_left"] == 0.4


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["factor_diagnostics.csv"], []),
        (["stdout.txt"], list(range(1, 21))),
        (["summary.json"], [20]),
        ([SNAPSHOT], []),
        (["metrics.csv"], [8, 16, 20]),
    ],
)
def test_any_part_is_enough(tmp_path: Path, names: list[str], steps: list[int]) -> None:
    trace = only(run_of(tmp_path), *names)
    assert column(trace, "step") == steps
    assert trace.rows("checks") == (12 if names == ["factor_diagnostics.csv"] else 3 if names == ["metrics.csv"] else 0)
    assert trace.rows("snapshots") == (2 if names == [SNAPSHOT] else 0)


def test_settings_alone_hold_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no measurement"):
        only(run_of(tmp_path), "resolved_config.yaml", "run_manifest.json")


def test_stale_and_residual_runs_have_no_proxy(tmp_path: Path) -> None:
    for name, proxy, residual in (("stale", "nan", False), ("dr", "0.5", True)):
        rows = [row for epoch in range(3) for row in diagnostics_rows(epoch, proxy, residual)]
        metrics = table(METRICS_HEAD, *(metrics_row(epoch, proxy=proxy) for epoch in range(3)))
        files = [
            written(tmp_path, f"{name}/metrics.csv", metrics),
            written(tmp_path, f"{name}/factor_diagnostics.csv", table(DIAGNOSTICS_HEAD, *rows)),
        ]
        (trace,) = read(READER, *files)
        assert checks(trace, "proxy", 0) == [None] * 3 and checks(trace, "relative_condition", 0) == [None] * 3
        assert checks(trace, "residual", 0) == [0.5 if residual else None] * 3
        assert trace.has("steps", "left_proxy_mean") == residual
        assert said(trace, "diagonalization residual") == residual


def test_adamw_has_no_factors(tmp_path: Path) -> None:
    head = METRICS_HEAD.replace("cap_refreshes,damping_updates,factor_dimensions,", "")
    (trace,) = read(
        READER, written(tmp_path, "metrics.csv", table(head, *(metrics_row(i, adamw=True) for i in range(3))))
    )
    assert trace.rows("checks") == 0 and column(trace, "decompositions") == [0, 0, 0] and trace.manifest.factors == ()
    assert column(trace, "val_accuracy") == [12.5, 25.0, 37.5] and not trace.has("steps", "left_epsilon_mean")
    assert said(trace, "no factors")


@pytest.mark.parametrize("adamw_header", [False, True])
def test_a_directory_run_into_thrice(tmp_path: Path, adamw_header: bool) -> None:
    """Rows of 49, 46 and 49 cells under one header: AdamW's rows shift."""
    head = (
        METRICS_HEAD.replace("cap_refreshes,damping_updates,factor_dimensions,", "") if adamw_header else METRICS_HEAD
    )
    rows = [
        metrics_row(0),
        metrics_row(1),
        metrics_row(0, adamw=True, scale=2.0),
        metrics_row(1, adamw=True, scale=2.0),
    ]
    rows += [metrics_row(epoch, scale=3.0) for epoch in range(3)]
    assert [row.count(",") + 1 for row in rows] == [49, 49, 46, 46, 49, 49, 49]
    again = [row for epochs in ((0, 1), (0, 1, 2)) for epoch in epochs for row in diagnostics_rows(epoch)]
    files = [
        written(tmp_path, "metrics.csv", table(head, *rows)),
        written(tmp_path, "factor_diagnostics.csv", table(DIAGNOSTICS_HEAD, *again)),
        written(tmp_path, "resolved_config.yaml", "experiment_name: x\noptimizer: foam\nprecondition_frequency: 2\n"),
        written(tmp_path, "stdout.log", "\n".join(printed_lines(first_loss=9.0))),
    ]
    first, second, third = read(READER, *files)
    assert [trace.manifest.name for trace in (first, second, third)] == ["x (run 1)", "x (run 2)", "x (run 3)"]
    assert column(first, "held_out_loss") == [2.5, 2.25] and column(second, "held_out_loss") == [5.0, 4.75]
    assert column(second, "decompositions") == [0, 0] and second.rows("checks") == 0
    assert column(first, "decompositions") == [5, 7] and summarize(first)["checks"] == 32
    assert first.has("steps", "cap_refreshes") and not second.has("steps", "cap_refreshes")
    assert summarize(third)["checks"] == 40 and checks(third, "checks", 1) == [4, 4, 2]
    assert column(third, "loss")[0] == 9.0 - 1 / 16 and column(first, "loss") == [3.0, 2.75]
    assert (
        third.manifest.config["optimizer"] == "foam" and first.manifest.config == {} and first.manifest.optimizer == ""
    )
    assert said(first, "3 runs under one header", "49, 46, 49") and said(first, "overwrote this run's settings")
    assert not said(third, "overwrote")


def test_a_later_run_with_a_header_of_its_own(tmp_path: Path) -> None:
    head = METRICS_HEAD.replace("cap_refreshes,damping_updates,factor_dimensions,", "")
    text = table(METRICS_HEAD, metrics_row(0)) + table(head, metrics_row(0, adamw=True, scale=2.0))
    first, second = read(READER, written(tmp_path, "metrics.csv", text))
    assert column(first, "held_out_loss") == [2.5] and column(second, "held_out_loss") == [5.0]
    assert not said(first, "dropped")


def test_lines_printed_into_several_files(tmp_path: Path) -> None:
    lines = printed_lines()
    files = [
        written(tmp_path, "stdout.txt", "\n".join(lines[:11])),
        written(tmp_path, "stdout_copy.txt", "\n".join(lines[:11])),
        written(tmp_path, "stdout_resumed.txt", "\n".join(printed_lines(first_loss=9.0)[7:])),
    ]
    (trace,) = read(READER, *files)
    assert column(trace, "step") == list(range(1, 21)) and len(trace.manifest.files) == 3
    assert column(trace, "loss")[:7] == [3.0 - step / 16 for step in range(1, 8)]
    assert column(trace, "loss")[7:] == [9.0 - step / 16 for step in range(8, 21)] and said(
        trace, "the last one was kept"
    )


def test_a_resume_and_a_restarted_counter(tmp_path: Path) -> None:
    rows = [row for epoch in (0, 1, 1, 2) for row in diagnostics_rows(epoch)]
    (trace,) = read(READER, written(tmp_path, "a/factor_diagnostics.csv", table(DIAGNOSTICS_HEAD, *rows)))
    assert checks(trace, "checks", 1) == [4, 4, 2] and summarize(trace)["checks"] == 40
    fallen = [row for epoch in (0, 1) for row in diagnostics_rows(epoch)]
    fallen += [row.replace("1,8,6.0,", "3,20,18.0,") for row in diagnostics_rows(0)]
    (trace,) = read(READER, written(tmp_path, "b/factor_diagnostics.csv", table(DIAGNOSTICS_HEAD, *fallen)))
    assert checks(trace, "checks", 1) == [4, 4, 4] and said(trace, "counters fall at step 20")


def test_ragged_and_damaged_files(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    with (run / "metrics.csv").open("a") as file:
        file.write("4,24,1.0\n")
    (run / "run_manifest.json").write_text('{"config": {"experiment_name": 1, "precondition_frequency"')
    (run / "resolved_config.yaml").write_text("experiment_name: [\nprecondition_frequency: 1\n")
    (trace,) = read(READER, *folder_files(run))
    assert column(trace, "decompositions")[-1] == 9 and trace.rows("checks") == 12
    assert said(trace, "metrics.csv", "1 rows dropped", "line 5")
    assert said(trace, "run_manifest.json") and said(trace, "resolved_config.yaml", "YAML")


def test_snapshots_against_numpy(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    run = run_of(tmp_path)
    (trace,) = read(READER, *folder_files(run))
    assert trace.snapshots["factor"].to_pylist() == [0, 1, 2, 3] and trace.snapshots["step"].to_pylist() == [8] * 4
    entry = torch.load(run / SNAPSHOT, weights_only=True)["snapshots"][0]
    matrix, basis, kept = (
        entry[name].numpy().astype(np.float64) for name in ("factor_matrix", "eigenvectors", "eigenvalues")
    )
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    stale = basis @ np.diag((kept + 0.01) ** -0.5) @ basis.T
    fresh = vectors @ np.diag((values + 0.01) ** -0.5) @ vectors.T
    error = np.linalg.norm(fresh - stale) / np.linalg.norm(stale)
    overlap = (basis[:, ::-1].T @ vectors[:, ::-1]) ** 2
    snapshot = trace.latest_snapshot(1)
    assert snapshot is not None and snapshot.epsilon == 0.01 and snapshot.last_decomposition_step == 2
    np.testing.assert_allclose(snapshot.eigenvalues, values[::-1], rtol=1e-6)
    np.testing.assert_allclose(snapshot.basis_eigenvalues, kept[::-1], rtol=1e-6)
    assert snapshot.true_error == pytest.approx(error, rel=1e-5) and error > 0.01
    np.testing.assert_array_equal(snapshot.overlap, np.round(overlap * 255))
    turn = turned(basis[:, ::-1].T @ vectors[:, ::-1], values[::-1])
    assert snapshot.turn == pytest.approx(turn.share, abs=1e-9) and snapshot.turn > 0
    np.testing.assert_allclose(snapshot.top_angles, turn.angles, atol=1e-6)


def test_snapshots_become_a_stream_that_is_replayed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    run = run_of(tmp_path)
    for epoch, step in ((2, 16), (3, 20)):
        write_snapshot(run / "factor_snapshots" / f"epoch_00{epoch}_rank_0000.pt", step)
    (config,) = run.glob("resolved_config.yaml")
    config.write_text(f"{config.read_text()}\noptimizer: foam\nepsilon: 0.01\nmax_epsilon: 0.5\n"
                      "matrix_root_inv_threshold: 0.25\n")  # fmt: skip
    (tmp_path / "streams").mkdir()
    (trace,) = read(READER, *folder_files(run), streams=str(tmp_path / "streams"))
    place = tmp_path / "streams" / trace.manifest.run_id
    record = stream.read(place)
    assert record.spacing == stream.Spacing(4, 1, 8)
    found = [(sample.step, sample.id) for sample in record.samples]
    assert found[-2:] == [(20, "1.block_0.0"), (20, "1.block_0.1")] and len(found) == 4 + 2 + 2
    entry = torch.load(run / "factor_snapshots" / "epoch_003_rank_0000.pt", weights_only=True)["snapshots"][0]
    sample = record.samples[-2]
    np.testing.assert_allclose(sample.current(), entry["factor_matrix"].numpy(), rtol=1e-6, atol=1e-9)
    assert (sample.root, sample.epsilon) == (2, 0.01)
    plan = prepare_path(place)
    assert plan.own.label() == "FOAM f = 4, τ = 0.25, ε₀ = 0.01, εₘₐₓ = 0.5"
    replay = plan.run()
    assert replay.open_loop and replay.checks == 8 and replay.error_left > 0


def test_large_overlaps_are_pooled(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "factor_snapshots" / "epoch_001_rank_0000.pt", 5, (("1.block_0.0", 100),))
    (trace,) = read(READER, *folder_files(tmp_path))
    snapshot = trace.latest_snapshot(0)
    assert snapshot is not None and snapshot.overlap is not None and snapshot.overlap.shape == (64, 64)
    np.testing.assert_allclose(snapshot.overlap.sum(1), 255, atol=20)
    assert len(snapshot.eigenvalues) == 100


def _saved(path: Path, **changes: object) -> None:
    import torch

    write_snapshot(path, 8)
    content = torch.load(path, weights_only=True)
    content["snapshots"][0].update(changes)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factor_matrix": "nan"}, "NaN or inf"),
        ({"factor_matrix": "long"}, "shapes"),
        ({"eigenvectors": "expanded"}, "repeats a few numbers"),
        ({"eigenvalues": "int"}, "no floating-point"),
        ({"eigenvalues": None}, "lacks"),
        ({"epsilon": -1.0}, "epsilon is"),
        ({"epsilon": math.nan}, "epsilon is"),
        ({"root": 0}, "root is"),
        ({"has_eigendecomposition": False}, "not been decomposed yet"),
    ],
)
def test_unusable_factors_are_left_out_with_the_reason(tmp_path: Path, change: dict[str, object], words: str) -> None:
    import torch

    tensors = {
        "nan": torch.full((4, 4), math.nan),
        "long": torch.zeros(5, 4),
        "expanded": torch.ones(1).expand(4, 4),
        "int": torch.arange(4),
    }
    change = {key: tensors.get(value, value) if isinstance(value, str) else value for key, value in change.items()}
    _saved(tmp_path / SNAPSHOT, **change)
    (trace,) = read(READER, *folder_files(tmp_path))
    assert trace.rows("snapshots") == 1 and trace.manifest.factors[0].id == "1.block_0.1"
    assert said(trace, "epoch_001_rank_0000.pt", words)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("pickle-was-run"),)  # type: ignore[return-value]


def test_pickles_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path)
    torch.save({"global_step": 8, "snapshots": [Bomb()]}, run / SNAPSHOT)
    (trace,) = read(READER, *folder_files(run))
    assert trace.rows("snapshots") == 2 and said(trace, SNAPSHOT, "weights_only=True")
    assert said(trace, "checkpoints/last/rank_0000.pt", "not read", "pickled")
    assert not (tmp_path / "pickle-was-run").exists()


def test_snapshot_files_that_are_none(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    whole = (run / SNAPSHOT).read_bytes()
    compressed = tmp_path / "compressed.pt"
    with zipfile.ZipFile(run / SNAPSHOT) as old, zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    for content, words in (
        (whole[: len(whole) // 2], "cut off"),
        (b"", "cut off"),
        (compressed.read_bytes(), "compressed"),
    ):
        (run / SNAPSHOT).write_bytes(content)
        (trace,) = read(READER, *folder_files(run))
        assert trace.rows("snapshots") == 2 and said(trace, SNAPSHOT, words) and column(trace, "step")[-1] == 20


def test_a_limit_on_work_keeps_the_kept_spectrum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foam_viz.logs.formats.foam_artifact_snapshots.MOST_WORK", 70.0)
    trace = only(run_of(tmp_path), SNAPSHOT)
    big, small = trace.latest_snapshot(0), trace.latest_snapshot(1)
    assert big is not None and big.true_error is not None and small is not None
    assert small.true_error is None and small.overlap is None and len(small.basis_eigenvalues) == 3
    assert said(trace, "Too much to decompose")


def test_unrelated_files_are_left(tmp_path: Path) -> None:
    files = [
        written(tmp_path, "metrics.csv", "epoch,step,loss\n1,2,3\n"),
        written(tmp_path, "checkpoints/last/rank_0000.pt", b"\x80\x02."),
        written(tmp_path, "model.pt", b"PK\x03\x04"),
        written(tmp_path, "a.yaml", "experiment_name: x\n"),
    ]
    assert READER.find(files) == []


def test_an_interrupted_run(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (run / "metrics.csv").write_text(table(METRICS_HEAD, metrics_row(0)))
    assert only(run, "metrics.csv", "run_manifest.json").manifest.status == "interrupted"
    assert only(run, "metrics.csv", "run_manifest.json", "summary.json").manifest.status == "finished"


@pytest.mark.parametrize(
    "name", ["adamw", "dr_shampoo", "foam", "foam_no_adaptive_epsilon", "foam_no_evd_refresh", "stale_shampoo"]
)
def test_the_real_runs(name: str) -> None:
    folder = examples("foam_artifact", name)
    files = [file for file in folder_files(folder) if not file.name.endswith(".pt")]
    (trace,) = read(READER, *files)
    last = list(csv.DictReader((folder / "metrics.csv").open()))[-1]
    summary = summarize(trace)
    assert trace.manifest.name == f"smoke_{name}" and trace.manifest.optimizer == last.get("optimizer", name)
    assert column(trace, "step") == list(range(1, 61)) and None not in column(trace, "loss")
    assert column(trace, "held_out_loss")[-1] == float(last["val_ce"])
    assert summary["optimizer_seconds"] == float(last["train_compute_seconds_cumulative"])
    assert summary["decompositions"] == int(last["evd_calls"])
    if name == "adamw":
        assert summary["checks"] is None and summary["decompositions_per_check_left"] is None
        return
    assert summary["checks"] == int(last["optimizer_checks"]) == 1710 and len(trace.manifest.factors) == 57
    assert summary["decompositions_per_check_left"] == pytest.approx(float(last["left_evd_rate"]), abs=1e-15)
    assert summary["decompositions_per_check_right"] == pytest.approx(float(last["right_evd_rate"]), abs=1e-15)
    for side, count in (("left", "left_checks"), ("right", "right_checks")):
        chosen = [i for i, info in enumerate(trace.manifest.factors) if info.side == side]
        assert sum(sum(checks(trace, "checks", i)) for i in chosen) == int(last[count])


def test_the_real_snapshots_give_the_logged_proxy(tmp_path: Path) -> None:
    """The matrices are read as they are meant: the proxy of the last check follows from them where eps stayed."""
    torch = pytest.importorskip("torch")
    from foam_viz.optim import linalg

    run = tmp_path / "foam"
    shutil.copytree(examples("foam_artifact", "foam"), run, ignore=shutil.ignore_patterns("stdout.txt"))
    (trace,) = read(READER, *folder_files(run))
    assert trace.rows("snapshots") == 114 and said(trace, "checkpoints/last/rank_0000.pt", "not read")
    content = torch.load(run / "factor_snapshots" / "epoch_002_rank_0000.pt", weights_only=True)
    for entry in content["snapshots"]:
        factor = trace.manifest.factor_index(entry["factor_index"])
        row = factor_rows(trace, "checks", factor).to_pylist()[-1]
        snapshot = trace.latest_snapshot(factor)
        assert snapshot is not None and snapshot.step == row["step"] == 60
        assert snapshot.epsilon == pytest.approx(row["epsilon"]) and snapshot.true_error is not None
        assert snapshot.last_decomposition_step == row["last_decomposition_step"]
        if row["epsilon"] == 0.0001:
            basis, kept = entry["eigenvectors"].double(), entry["eigenvalues"].double()
            measured = linalg.proxy(linalg.rotate(basis, entry["factor_matrix"].double()), kept, 0.0001, entry["root"])
            assert float(measured.h) == pytest.approx(row["proxy"], rel=0.02, abs=1e-4)
