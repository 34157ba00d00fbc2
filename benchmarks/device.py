"""The device path against the CPU: agreement, waits of the host, step times, recording, lanes, the live engine.

``python -m benchmarks device [--device=cuda|mps|cpu] [--json]`` takes at most four minutes on whatever device there is
(a CPU is given less to do, and the code of a device is compared with that of the CPU on it). It needs torch, numpy,
pyarrow and pytest, and scikit-learn for the live engine. Exits 1 where the device computes something else than the CPU
or where the host waits more often than it should.

Times are of whole cycles of ten steps, one check among them, with the device synchronized at both ends of a cycle.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.device_agreement import OPTIMIZERS, SHAPES, TOLERANCE, agree, device_path, trained_loss
from benchmarks.device_traffic import Traffic, traffic
from benchmarks.peers import BETA1, BETA2, LR, PERIOD, ForcedFoam
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS, Workload, classify
from foam_viz import device as devices
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.optim.refresh import EveryCheck
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

_LOSS_APART = 0.03
_FOAM_PATTERN = (1, 5)  # every fifth check of a factor decomposes
_SECONDS = {"cycles": 2.5, "engine": 20.0}
_SMALL_SECONDS = {"cycles": 0.8, "engine": 5.0}

_TIMED: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "AdamW": lambda w: torch.optim.AdamW(w, lr=LR),
    "Shampoo f = 10": lambda w: Shampoo(w, lr=LR, betas=(BETA1, BETA2), refresh=EveryCheck(period=PERIOD)),
    "FOAM f = 10, 20 % decomposed": lambda w: _forced_foam(w),
    "SOAP f = 10": lambda w: SOAP(w, lr=LR, betas=(0.95, 0.95), period=PERIOD),
}


def _forced_foam(parameters: list[Tensor]) -> Shampoo:
    optimizer = Shampoo(parameters, lr=LR, betas=(BETA1, BETA2), refresh=ForcedFoam(period=PERIOD))
    optimizer.param_groups[0]["refresh"].follow(*_FOAM_PATTERN, len(optimizer.factors()))
    return optimizer


def _wide(width: int) -> Workload:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))

    return Workload(f"width {width}", f"MLP 784-{width}-{width}-10", model, classify)


def _synchronize(device: str) -> None:
    if device in ("cuda", "mps"):
        getattr(torch, device).synchronize()


def agreement(report: Report, device: str) -> None:
    """One check step of every optimizer on the device and on the CPU, from one state."""
    for dtype in (torch.float32,) if device == "mps" else (torch.float32, torch.float64):
        limit, kind = TOLERANCE[dtype], str(dtype).removeprefix("torch.")
        for name in OPTIMIZERS:
            found = agree(name, device, dtype)
            label = f"{kind} {name}"
            report.at_most(f"{label}: L apart, relative", found.statistics, limit)
            report.at_most(f"{label}: eps apart, relative", found.epsilon, limit)
            report.at_most(f"{label}: X apart, relative", found.inverse_root, limit)
            report.at_most(f"{label}: update apart, relative", found.update, limit)
            report.add(
                f"{label}: decisions equal ({found.decompositions} decompositions)",
                float(found.decisions_equal),
                "1",
                found.decisions_equal,
            )
    ours, theirs = trained_loss("cpu"), trained_loss(device)
    report.at_most("loss of FOAM after 40 steps apart, relative", abs(theirs - ours) / ours, _LOSS_APART)


def waits(report: Report, device: str) -> None:
    """What the host waits for in a check step and between checks."""
    for name, build in OPTIMIZERS.items():
        with device_path():
            counted = _traffic(build, device)
        checks = [one for one in counted if one.reads or one.solves]
        between = [one for one in counted if not (one.reads or one.solves)]
        report.at_most(f"{name}: steps that read a value, in 10 with one check", len(checks), 1)
        report.at_most(f"{name}: reads in a check step", max(one.reads for one in checks), 1)
        report.add(f"{name}: solver calls in a check step", max(one.solves for one in checks))
        if device == "cuda":
            report.add(f"{name}: waits in a check step, the solver's among them", max(one.waits for one in checks))
            report.add(f"{name}: copies to the host in a check step", max(one.copies for one in checks))
            report.at_most(f"{name}: waits between checks", max(one.waits for one in between), 0)
            report.at_most(f"{name}: copies to the host between checks", max(one.copies for one in between), 0)


def _traffic(build: Callable[[list[Tensor]], torch.optim.Optimizer], device: str) -> list[Traffic]:
    """The traffic of ten steps with one check among them: of step 30, or of the 30th update, SOAP's step 31."""
    weights = [torch.ones(shape, requires_grad=True, device=device) for shape in SHAPES]
    optimizer = build(weights)
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator).to(device) for shape in SHAPES]

    def step(number: int) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient * (1 + number % 3)
        optimizer.step()

    for number in range(1, 2 * PERIOD + 2):
        step(number)
    traffic(step, 0, device)  # the first use of a profiler waits by itself
    return [traffic(step, number, device) for number in range(2 * PERIOD + 3, 3 * PERIOD + 3)]


def cycle_milliseconds(
    build: Callable[[list[Tensor]], torch.optim.Optimizer],
    initial: list[Tensor],
    gradients: list[list[Tensor]],
    device: str,
    seconds: float,
) -> float:
    """Milliseconds a step, the median over cycles that take about ``seconds`` together; at least three cycles."""
    parameters = [parameter.clone().to(device).requires_grad_() for parameter in initial]
    optimizer = build(parameters)
    taken: list[float] = []
    cycle = 0
    while len(taken) < 5 or (sum(taken) < seconds * 1e3 / PERIOD and len(taken) < 200):
        _synchronize(device)
        began = time.perf_counter()
        for number in range(PERIOD):
            for parameter, gradient in zip(
                parameters, gradients[(cycle * PERIOD + number) % len(gradients)], strict=True
            ):
                parameter.grad = gradient
            optimizer.step()
        _synchronize(device)
        taken.append((time.perf_counter() - began) * 1e3 / PERIOD)
        cycle += 1
    return statistics.median(taken[2:])  # the first decomposition, and kernels that load on first use


def step_times(report: Report, device: str, small: bool) -> None:
    """Steps of three optimizers beside AdamW, on workloads A and B and on wide layers."""
    seconds = (_SMALL_SECONDS if small else _SECONDS)["cycles"]
    widths = (256,) if small else (512, 1024, 2048)
    for workload in [*WORKLOADS.values(), *map(_wide, widths)]:
        initial, recorded = workload.record(PERIOD * 2)
        gradients = [[gradient.to(device) for gradient in step] for step in recorded]
        for name, build in _TIMED.items():
            report.add(
                f"{workload.name}, {name}: ms a step", cycle_milliseconds(build, initial, gradients, device, seconds)
            )
        if device != "cpu" and workload.name in WORKLOADS:
            for name, build in _TIMED.items():
                report.add(
                    f"{workload.name}, {name}, CPU with one thread: ms a step",
                    cycle_milliseconds(build, initial, recorded, "cpu", 1.0),
                )


def _block(runs: list[Run], steps: int, device: str) -> float:
    _synchronize(device)
    began = time.perf_counter()
    for _ in range(steps):
        for run in runs:
            run.advance()
    for run in runs:
        run.drain()
    _synchronize(device)
    return (time.perf_counter() - began) / steps * 1e3


def runs(report: Report, device: str, small: bool) -> None:
    """Whole steps of tiny GPT under FOAM: with and without recording, and four lanes in turn; interleaved."""
    experiment, _ = config.build("tiny-gpt", lanes=[("foam", {})])

    def new(recording: bool) -> Run:
        return Run(experiment.lane_config(0), run_id="benchmark", device=device, recording=recording)

    groups = {"recording": [new(True)], "not recording": [new(False)], "four lanes": [new(True) for _ in range(4)]}
    steps, rounds = (20, 2) if small else (100, 3)
    taken: dict[str, list[float]] = {name: [] for name in groups}
    for number in range(rounds + 1):
        for name, group in groups.items():
            milliseconds = _block(group, steps, device)
            if number:
                taken[name].append(milliseconds)
    typical = {name: statistics.median(some) for name, some in taken.items()}
    report.add("tiny GPT, FOAM, recording: ms a step", typical["recording"])
    report.add("tiny GPT, FOAM, not recording: ms a step", typical["not recording"])
    report.add("recording adds to a step, %", (typical["recording"] / typical["not recording"] - 1) * 100)
    report.add("four lanes, ms a step of all", typical["four lanes"])


def live_engine(report: Report, device: str, seconds: float) -> None:
    """Steps a second of the live engine with two lanes of tiny GPT, as the hub sees them."""
    from foam_viz.engine.server.hub import Hub
    from foam_viz.engine.wire.commands import Pause, Start
    from foam_viz.settings import Settings

    experiment, _ = config.build("tiny-gpt", run_settings={"steps": 1_000_000}, lanes=[("foam", {}), ("shampoo", {})])
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Settings(data_directory=Path(folder), engines=1, device=device))
        try:
            if not hub.ready(120):
                report.add("live engine answers within 120 s", 0.0, "1", False)
                return
            run, key = hub.create(experiment, session="benchmark", device=device)
            run.wait(60)
            hub.command(run.view_id, key, Start())
            run.wait(60)
            began, first = time.monotonic(), run.step
            time.sleep(seconds)
            rate = (run.step - first) / (time.monotonic() - began)
            pressed = time.monotonic()
            hub.command(run.view_id, key, Pause())
            run.wait(60)
            answered = (time.monotonic() - pressed) * 1e3
            on = run.header.get("device")
            report.add(f"live engine trains on {on}", float(on == device), "1", on == device)
            report.add("live engine, two lanes of tiny GPT: steps/s", rate)
            report.add("live engine: Pause to answer, ms", answered)
            report.add("live engine: notices", float(bool(run.notice)), "0", not run.notice)
        finally:
            hub.close()


def main() -> int:
    asked = [arg.removeprefix("--device=") for arg in sys.argv if arg.startswith("--device=")]
    device = devices.choose(asked[0] if asked else "auto")
    if asked and device != asked[0]:
        print(
            f"--device={asked[0]}: this machine has {', '.join(d.name for d in devices.available())}", file=sys.stderr
        )
        return 2
    small = device == "cpu"
    torch.set_num_threads(1)
    report = Report("device")
    described = {**devices.hardware(device), "torch": torch.__version__, "device": device}
    print("  " + ", ".join(f"{key} {value}" for key, value in described.items()), flush=True)
    began = time.monotonic()
    parts: dict[str, Callable[[], Any]] = {
        "agreement": lambda: agreement(report, device),
        "waits": lambda: waits(report, device),
        "step times": lambda: step_times(report, device, small),
        "runs": lambda: runs(report, device, small),
        "live engine": lambda: live_engine(report, device, (_SMALL_SECONDS if small else _SECONDS)["engine"]),
    }
    for name, part in parts.items():
        print(f" {name} ({time.monotonic() - began:.0f} s)", flush=True)
        part()
    print(f" done in {time.monotonic() - began:.0f} s")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
