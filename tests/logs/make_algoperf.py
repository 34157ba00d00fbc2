"""A small AlgoPerf trial with the tables, the settings and the event file that the benchmark writes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.logs.make_tensorboard import START, content, event, write_events

MEASUREMENTS = """\
global_step,grad_norm,loss,train/accuracy,train/loss,validation/accuracy,validation/loss,validation/num_examples,score,\
total_duration,accumulated_submission_time,accumulated_eval_time,accumulated_logging_time,preemption_count
0,5.5,11.0,,,,,,,,,,,
1,,,0.001,10.5,0.002,10.25,3000.0,37.0,929.0,37.0,891.0,0.0,0.0
1,5.0,10.75,,,,,,,,,,,
100,0.5,8.0,,,,,,,,,,,
200,0.25,7.5,,,,,,,,,,,
250,,,0.5,3.0,0.625,2.5,3000.0,500.0,2000.0,500.0,1400.0,0.5,0.0
250,,,,,,,,500.0,,,,,0.0
"""
EVALUATIONS = """\
accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,preemption_count,score,\
total_duration,train/accuracy,train/loss,validation/accuracy,validation/loss,validation/num_examples
891.0,0.0,37.0,1,0,37.0,929.0,0.001,10.500000000000002,0.002,10.25,3000
1100.0,0.25,300.0,150,0,300.0,1500.0,0.25,5.0,0.375,4.5,3000
1400.0,0.5,500.0,250,0,500.0,2000.0,0.5,3.0,0.625,2.5,3000
"""
HPARAMS = {"learning_rate": 0.002, "warmup_factor": 0.02}
FLAGS = {
    "submission_path": "submissions/team/shampoo_submission/submission.py",
    "workload": "wmt",
    "framework": "pytorch",
    "max_global_steps": 133333,
    "rng_seed": 7,
}
META = {
    "workload.step_hint": 133333,
    "workload.target_metric_name": "bleu",
    "workload.validation_target_value": 30.8,
    "gpu_model_name": "Tesla V100-SXM2-16GB",
    "gpu_count": 8,
    "gpu_driver": "535.104.05",
    "cpu_model_name": "Intel Xeon",
    "cpu_count": 64,
    "os_platform": "Linux",
    "python_version": "3.8.10",
    "mem.total": 1000,
}


def make_algoperf(folder: Path) -> Path:
    trial = folder / "shampoo" / "study_0" / "wmt_pytorch" / "trial_2"
    trial.mkdir(parents=True)
    (trial / "measurements.csv").write_text(MEASUREMENTS)
    (trial / "eval_measurements.csv").write_text(EVALUATIONS)
    for name, content_of in (("hparams.json", HPARAMS), ("flags_0.json", FLAGS), ("meta_data_0.json", META)):
        (trial / name).write_text(json.dumps(content_of, indent=1))
    events = [
        event(content(1, value, "<f", tag), step=step, wall_time=START + step)
        for step, tag, value in ((0, "loss", 11.0), (1, "global_step", 1.0), (100, "loss", 8.0), (250, "score", 500.0))
    ]
    write_events(trial / "events.out.tfevents.1700000000.host.1.v2", *events)
    return folder
