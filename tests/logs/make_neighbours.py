"""Small logs of many programs whose files are tables, numbers invented."""

from __future__ import annotations

import json
from pathlib import Path

from tests.logs.make_tensorboard import event, simple, write_events

_EVENTS = "events.out.tfevents.1900000000.host.1.0"


def put(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def make_tensorboard_downloads(folder: Path) -> Path:
    for split, more in (("train", 0.0), ("validation", 0.25)):
        rows = "".join(f"{1.9e9 + step},{step},{4 - step / 20 + more}\n" for step in range(0, 60, 5))
        put(folder, f"run-foam_{split}-tag-epoch_loss.csv", "Wall time,Step,Value\n" + rows)
    put(folder, "run-soap-tag-train_loss.json", [[1.9e9 + step, step, 4 - step / 20] for step in range(9)])
    return folder


def make_dvclive(folder: Path) -> Path:
    put(folder, "dvclive/plots/metrics/train/loss.tsv", "step\tloss\n0\t4.0\n1\t3.0\n2\t2.0\n")
    rows = "1900000000000\t0\t4.25\n1900000001000\t2\t2.25\n"
    put(folder, "dvclive/plots/metrics/eval/loss.tsv", "timestamp\tstep\tloss\n" + rows)
    put(folder, "dvclive/metrics.json", {"train": {"loss": 2.0}, "step": 2})
    put(folder, "dvclive/params.yaml", "lr: 0.1\noptimizer: adam\n")
    return folder


def make_d3rlpy(folder: Path) -> Path:
    home = "d3rlpy_logs/CQL_20261126140000"
    for name, scale in (("loss", 1.0), ("td_error", 0.1)):
        put(folder, f"{home}/{name}.csv", "".join(f"{e},{e * 1000},{scale * (5 - e)}\n" for e in range(1, 5)))
    put(folder, f"{home}/params.json", {"lr": 0.1, "algorithm": "CQL"})
    return folder


def make_sacred(folder: Path) -> Path:
    metrics = {
        "train.loss": {
            "steps": list(range(0, 50, 10)),
            "values": [4 - step / 10 for step in range(5)],
            "timestamps": [f"2026-11-26T14:00:0{second}.000000" for second in range(5)],
        },
        "val.loss": {
            "steps": [0, 40],
            "values": [4.5, 3.5],
            "timestamps": ["2026-11-26T14:00:00", "2026-11-26T14:00:05"],
        },
    }
    put(folder, "7/metrics.json", metrics)
    put(folder, "7/config.json", {"lr": 0.1, "optimizer": "soap", "seed": 3})
    put(
        folder,
        "7/run.json",
        {"experiment": {"name": "digits"}, "status": "FAILED", "start_time": "2026-11-26T14:00:00"},
    )
    put(folder, "7/cout.txt", "started\n")
    return folder


def make_monitor(folder: Path) -> Path:
    rows = "".join(f"{reward}.0,{reward},{reward / 10}\n" for reward in (20, 30, 35, 40))
    head = '#{"t_start": 1900000000.5, "env_id": "CartPole-v1"}\nr,l,t\n'
    return put(folder, "monitor.csv", head + rows)


def make_tables_of_runs(folder: Path) -> Path:
    names = ("baseline", "rope", "alibi")
    rows = "".join(f"{name},42,5000,0.001,{1 + place / 10},{900 + place}\n" for place, name in enumerate(names))
    put(folder, "runs.csv", "run_name,seed,max_iters,learning_rate,final_val_loss,training_time_sec\n" + rows)
    put(folder, "runs.json", [{"run_name": name, "final_loss": place / 2} for place, name in enumerate(names)])
    return folder


def make_panels(folder: Path) -> Path:
    names = [
        f"{run} - {metric}{end}"
        for run in ("adam", "soap")
        for metric in ("_step", "loss")
        for end in ("", "__MIN", "__MAX")
    ]
    rows = [[t * 1.5, *[t * 10] * 3, *[4 - t / 10] * 3, *[t * 10 + 1] * 3, *[5 - t / 10] * 3] for t in range(9)]
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in [["Relative Time (Process)", *names], *rows])
    return put(folder, "panel.csv", text + "\n")


def make_headers_again(folder: Path) -> Path:
    text = "step;loss\n1.000;3,5\n2.000;3,25\nstep;loss;val_loss\n3.000;3,0;3,5\n4.000;2,75;3,25\n"
    return put(folder, "log.csv", text)


def make_lists(folder: Path) -> Path:
    document = {"train_loss": [4 - i / 100 for i in range(60)], "val_loss": [4 - i / 10 for i in range(6)], "lr": 0.1}
    put(folder, "curves.json", document)
    scalars = {"loss": {"train": {"x": [0, 10, 20], "y": [4, 3, 2]}, "val": {"x": [0, 20], "y": [4.5, 2.5]}}}
    put(folder, "scalars.json", scalars)
    return folder


def make_ray(folder: Path) -> Path:
    records = [
        {"training_iteration": i, "timesteps_total": i * 4000, "time_total_s": i * 3.5, "time_this_iter_s": 3.5,
         "info": {"learner": {"default_policy": {"total_loss": 4 - i / 8}}}, "config": {"lr": 0.1}, "trial_id": "abc"}
        for i in range(1, 9)
    ]  # fmt: skip
    put(folder, "PPO_x/result.json", "".join(json.dumps(record) + "\n" for record in records))
    names = "training_iteration,timesteps_total,time_total_s,info/learner/default_policy/total_loss,trial_id\n"
    rows = "".join(f"{i},{i * 4000},{i * 3.5},{4 - i / 8},abc\n" for i in range(1, 9))
    put(folder, "PPO_x/progress.csv", names + rows)
    return folder


def make_ultralytics(folder: Path) -> Path:
    names = "                  epoch,         train/box_loss,       metrics/mAP50(B),           val/box_loss\n"
    rows = "".join(f"        {e},   {2 - e / 10:.5f},  {e / 20:.5f},   {2.25 - e / 10:.5f}\n" for e in range(1, 9))
    put(folder, "train/results.csv", names + rows)
    events = [
        event(simple(tag, value), step=e)
        for e in range(1, 9)
        for tag, value in (("train/box_loss", 2 - e / 10), ("val/box_loss", 2.25 - e / 10), ("lr/pg0", 0.1))
    ]
    write_events(folder / "train" / _EVENTS, *events)
    return folder


def make_end_values(folder: Path) -> Path:
    history = [{"step": step, "loss": 4 - step / 100, "epoch": step / 100} for step in range(10, 100, 10)]
    put(folder, "out/trainer_state.json", {"log_history": history, "max_steps": 90, "global_step": 90})
    put(folder, "out/all_results.json", {"train_loss": 3.5, "epoch": 0.9})
    rows = [{"step": step, "loss": round(4 - step / 100, 3), "grad_norm": 1.5} for step in range(10, 100, 10)]
    put(folder, "out/metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return folder
