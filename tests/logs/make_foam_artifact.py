"""A small run directory of the FOAM artifact: four factors, three epochs, snapshots, a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

STEPS = (8, 16, 20)
"""Global step at the end of each epoch."""

METRICS_HEAD = (
    "epoch,global_step,train_online_objective,train_full_hard_ce,train_full_ce,val_ce,val_accuracy,learning_rate,"
    "train_seconds,train_full_eval_seconds,validation_seconds,train_compute_seconds_cumulative,"
    "evaluation_seconds_cumulative,end_to_end_wall_clock_seconds,wall_clock_seconds,factor_count,optimizer_checks,"
    "evd_calls,proxy_calls,residual_calls,reuse_calls,evd_rate,cap_refreshes,damping_updates,factor_dimensions,"
    "left_factor_count,left_checks,left_evd_calls,left_reuse_calls,left_evd_rate,left_epsilon_mean,left_epsilon_max,"
    "left_proxy_mean,left_proxy_max,right_factor_count,right_checks,right_evd_calls,right_reuse_calls,right_evd_rate,"
    "right_epsilon_mean,right_epsilon_max,right_proxy_mean,right_proxy_max,proxy_seconds_sum,proxy_seconds_max_rank,"
    "evd_seconds_sum,evd_seconds_max_rank,reuse_seconds_sum,reuse_seconds_max_rank"
)
DIAGNOSTICS_HEAD = (
    "epoch,global_step,wall_clock_seconds,group,factor_index,factor_id,axis,block_order,dimension,root,epsilon,proxy,"
    "last_proxy,relative_condition,alpha,check_calls,checks,evd_calls,proxy_calls,reuse_calls,damping_updates,"
    "cap_refreshes,residual_calls,last_refresh_step"
)
FACTORS = (("0.block_0.0", 0, 1, 3), ("1.block_0.0", 0, 2, 4), ("1.block_0.1", 1, 2, 3), ("2.block_0.0", 0, 1, 2))
"""Id, axis, order of the block, side."""

CHECKS = (4, 8, 10)
DECOMPOSITIONS = ((1, 1, 1), (1, 3, 4), (1, 1, 2), (2, 2, 2))
"""Cumulative, of each factor at the end of each epoch."""


def metrics_row(epoch: int, *, adamw: bool = False, scale: float = 1.0, proxy: str = "0.25") -> str:
    checks = 0 if adamw else CHECKS[epoch]
    evd = [0 if adamw else counts[epoch] for counts in DECOMPOSITIONS]
    total, count = sum(evd), 0 if adamw else 4
    common = [
        epoch + 1,
        STEPS[epoch],
        3.0 * scale - epoch / 4,
        2.75,
        2.75,
        2.5 * scale - epoch / 4,
        12.5 * (epoch + 1),
        0.5,
    ]
    common += [4.0, 1.0, 0.5, 4.0 * (epoch + 1), 1.5 * (epoch + 1), 6.0 * (epoch + 1), 6.0 * (epoch + 1)]
    common += [count, 4 * checks, total, 0, 0, 4 * checks - total, total / (4 * checks) if checks else 0.0]
    shampoo_only = [] if adamw else [1, 5, "2;3;4"]
    sides: list[object] = []
    for side in (1, 2):
        rate = evd[side] / checks if checks else 0.0
        sides += [count // 4, checks, evd[side], checks - evd[side], rate, 0.001, 0.002, proxy, proxy]
    return ",".join(map(str, [*common, *shampoo_only, *sides, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]))


def diagnostics_rows(epoch: int, proxy: str = "0.25", residual: bool = False) -> list[str]:
    rows = []
    for (name, axis, order, side), counts in zip(FACTORS, DECOMPOSITIONS, strict=True):
        checks, evd = CHECKS[epoch], counts[epoch]
        condition = "nan" if residual or proxy == "nan" else "0.75"
        calls = (0, checks) if residual else (0 if proxy == "nan" else checks, 0)
        values = [epoch + 1, STEPS[epoch], 6.0 * (epoch + 1), 0, name, name, axis, order, side, 2, 0.001 * (epoch + 1)]
        values += [
            proxy,
            proxy,
            condition,
            condition,
            checks,
            checks,
            evd,
            calls[0],
            checks - evd,
            0,
            0,
            calls[1],
            2 * evd,
        ]
        rows.append(",".join(map(str, values)))
    return rows


def printed_lines(last: int = STEPS[-1], first_loss: float = 3.0) -> list[str]:
    lines = []
    for step in range(1, last + 1):
        epoch = (step - 1) // 8
        lines.append(
            f"epoch={epoch + 1}/3 step={step - 8 * epoch}/8 global_step={step} "
            f"objective={first_loss - step / 16:.5f} lr=5.0000e-01"
        )
        if step in STEPS:
            lines.append(
                f"epoch={epoch + 1} global_step={step} online_objective=2.5 val_accuracy=12.500 evd_rate=0.0680"
            )
    return lines


def table(head: str, *rows: str) -> str:
    return "\n".join([head, *rows]) + "\n"


CONFIG = {
    "experiment_name": "tiny_foam",
    "seed": 42,
    "data_backend": "synthetic",
    "optimizer": "foam",
    "epsilon": 0.0001,
    "epsilon_left": None,
    "matrix_root_inv_threshold": 0.5,
    "precondition_frequency": 2,
    "wandb_entity": "",
}


def write_snapshot(
    path: Path, step: int, factors: tuple[tuple[str, int], ...] = (("1.block_0.0", 4), ("1.block_0.1", 3))
) -> None:
    """A snapshot whose factors have turned since their basis was decomposed."""
    import torch

    generator = torch.Generator().manual_seed(step)
    entries = []
    for name, side in factors:
        old, new = torch.randn(2, side, 4 * side, generator=generator)
        values, basis = torch.linalg.eigh(old @ old.T / side)
        entries.append(
            {
                "factor_index": name,
                "factor_matrix": 0.75 * old @ old.T / side + 0.25 * new @ new.T / side,
                "eigenvalues": values,
                "eigenvectors": basis,
                "epsilon": 0.01,
                "has_eigendecomposition": True,
                "root": 2,
                "group_index": 0,
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 1, "global_step": step, "rank": 0, "snapshots": entries}, path)


def make_foam_artifact(folder: Path) -> Path:
    run = folder / "runs" / "tiny_foam"
    (run / "checkpoints" / "last").mkdir(parents=True)
    (run / "metrics.csv").write_text(table(METRICS_HEAD, *(metrics_row(epoch) for epoch in range(3))))
    rows = [row for epoch in range(3) for row in diagnostics_rows(epoch)]
    (run / "factor_diagnostics.csv").write_text(table(DIAGNOSTICS_HEAD, *rows))
    (run / "stdout.txt").write_text("\n".join(["some library says hello", *printed_lines()]) + "\n")
    lines = [f"{key}: {json.dumps(value)}" for key, value in CONFIG.items()]
    (run / "resolved_config.yaml").write_text("\n".join(lines) + "\n")
    manifest = {
        "config": CONFIG,
        "environment": {"world_size": 2, "device": "cuda", "torch_version": "2.7.0", "device_name": "RTX 4090"},
        "python_version": "3.11.7",
        "git_revision": "76f1a1a",
        "total_steps": 20,
        "global_batch_size": 16,
    }
    (run / "run_manifest.json").write_text(json.dumps(manifest))
    summary = {"experiment_name": "tiny_foam", "epochs_completed": 3, "global_step": 20, "train_compute_seconds": 12.0}
    (run / "summary.json").write_text(json.dumps(summary))
    write_snapshot(run / "factor_snapshots" / "epoch_001_rank_0000.pt", 8)
    write_snapshot(run / "factor_snapshots" / "epoch_001_rank_0001.pt", 8, (("0.block_0.0", 3), ("2.block_0.0", 2)))
    (run / "checkpoints" / "last" / "rank_0000.pt").write_bytes(b"\x80\x02}q\x00.")
    return folder
