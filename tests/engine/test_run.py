"""A run: deterministic, recorded on schedule, honest about divergence, and continued as if never stopped."""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest
import torch

from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config
from foam_viz.trace.eigenbasis import turned
from foam_viz.trace.model import Trace


def lane(optimizer: str = "foam", **settings: object) -> dict:
    experiment, errors = config.build(
        task_settings={"batch_size": 16}, run_settings={"steps": 1000}, lanes=[(optimizer, settings)]
    )
    assert not errors
    return experiment.lane_config(0)


def recorded(run: Run, steps: int) -> Trace:
    trace = Trace.empty(run.manifest())
    for _ in range(steps):
        if run.live:
            run.advance()
    for name, rows in run.drain().items():
        trace.append(name, rows)
    trace.manifest = run.manifest()
    return trace


TIMES = {
    "optimizer_seconds", "total_seconds", "gradient_seconds", "statistics_seconds", "check_seconds",
    "decomposition_seconds", "update_seconds",
}  # fmt: skip


def assert_same_rows(left: Trace, right: Trace) -> None:
    for name in ("steps", "checks", "snapshots", "events"):
        a, b = left.table(name), right.table(name)
        for column in set(a.column_names) - TIMES:
            # NaN equals NaN here, which is why this compares text.
            assert str(a[column].to_pylist()) == str(b[column].to_pylist()), f"{name}.{column}"


def test_same_configuration_same_numbers() -> None:
    assert_same_rows(recorded(Run(lane(), run_id="a"), 45), recorded(Run(lane(), run_id="b"), 45))


def test_lanes_share_weights_and_batches() -> None:
    runs = [Run(lane(name), run_id=name) for name in ("adamw", "shampoo")]
    losses = [recorded(run, 1).values("steps", "loss")[0] for run in runs]
    assert losses[0] == losses[1]


def test_what_is_recorded_when() -> None:
    run = Run(lane("shampoo", period=10), run_id="a")
    trace = recorded(run, 200)
    factors = len(trace.manifest.factors)
    assert factors == 18
    assert np.array_equal(trace.values("steps", "step"), np.arange(1, 201))
    # h and the residual of every factor at every check, though this policy needs neither.
    checks = trace.checks.to_pandas()
    assert sorted(checks.step.unique()) == list(range(10, 201, 10))
    assert len(checks) == 20 * factors
    later = checks[checks.step > 10]
    assert later.proxy.notna().all()
    assert later.residual.notna().all()
    assert (later.decision == "cadence").all()
    assert (later.last_decomposition_step == later.step).all()
    # Everything at the first decomposition and every 100 steps, the followed factor every 20.
    snapshots = trace.snapshots.to_pandas()
    followed = run.recorder.followed
    for step in (10, 100, 200):
        assert set(snapshots[snapshots.step == step].factor) == set(range(factors))
    assert set(snapshots[snapshots.step == 40].factor) == {followed}
    assert set(snapshots.step) == {10, 100, 200, *range(20, 201, 20)}
    # At a check the snapshot shows the basis before the decision: ten steps old here.
    assert set(snapshots[snapshots.step == 100].last_decomposition_step) == {90}
    assert (snapshots[snapshots.step == 100].true_error > 0).any()
    assert trace.values("steps", "decompositions")[-1] == 20 * factors
    for name in ("gradient_norm", "update_norm"):
        assert set(np.flatnonzero(~np.isnan(trace.values("steps", name))) + 1) == {1, *range(10, 201, 10)}
    held_out = trace.values("steps", "held_out_loss")
    assert set(np.flatnonzero(~np.isnan(held_out)) + 1) == {1, 100, 200}


@pytest.mark.parametrize("optimizer", ["foam", "soap", "kl-shampoo", "adamw", "sgd"])
def test_norms_of_gradient_and_update_are_those_of_all_parameters_together(optimizer: str) -> None:
    run = Run(lane(optimizer), run_id="a")
    recorded(run, 19)
    before = [parameter.detach().double().clone() for parameter in run.model.parameters()]
    row = recorded(run, 1).steps.to_pandas().iloc[0]
    after = list(run.model.parameters())
    gradient = math.sqrt(sum(float(p.grad.double().square().sum()) for p in after if p.grad is not None))
    change = math.sqrt(sum(float((p.detach() - b).square().sum()) for p, b in zip(after, before, strict=True)))
    assert row.step == 20
    assert row.gradient_norm == pytest.approx(gradient, rel=1e-5)
    assert row.update_norm == pytest.approx(change, rel=1e-5) and change > 0


def test_seconds_of_phases_are_timed_apart_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(lane("foam"), run_id="a")

    def burn(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    loss, accumulate = run.task.loss, run.optimizer._accumulate
    monkeypatch.setattr(run.task, "loss", lambda *given: (burn(0.02), loss(*given))[1])
    monkeypatch.setattr(run.optimizer, "_accumulate", lambda: (burn(0.04), accumulate()))
    whole = recorded(run, 10).steps.to_pandas()
    last = whole.iloc[-1]
    assert last.gradient_seconds >= 0.2 and last.statistics_seconds >= 0.4
    mine = last.statistics_seconds + last.check_seconds + last.decomposition_seconds + last.update_seconds
    assert last.optimizer_seconds == pytest.approx(mine)
    assert (whole.decomposition_seconds[:9] == 0).all() and last.decomposition_seconds > 0
    spent = recorded(Run(lane("adamw"), run_id="b"), 10).steps.to_pandas().iloc[-1]
    assert spent.optimizer_seconds == spent.update_seconds > 0
    assert math.isnan(spent.check_seconds) and math.isnan(spent.decomposition_seconds)


def test_a_state_from_before_phases_were_timed_is_gone_on_with() -> None:
    run = Run(lane("foam"), run_id="a")
    recorded(run, 3)
    again = Run(lane("foam"), run_id="a")
    again.restore({**run.state(), "seconds": 5.0})
    assert again.optimizer_seconds == 5.0
    assert recorded(again, 1).values("steps", "optimizer_seconds")[0] > 5.0


def test_a_step_made_phase_by_phase_is_timed_and_recorded_as_in_one() -> None:
    one, other = Run(lane("foam"), run_id="a"), Run(lane("foam"), run_id="a")
    whole = recorded(one, 10)
    recorded(other, 9)
    while other.step < 10:
        other.advance_phase()
    row = other.drain()["steps"].to_pylist()[0]
    assert row["gradient_norm"] == whole.values("steps", "gradient_norm")[-1]
    assert row["update_norm"] == whole.values("steps", "update_norm")[-1]
    assert min(row[name] for name in TIMES & set(row) if row[name] is not None) > 0


def test_snapshots_agree_with_a_dense_reference() -> None:
    """Error and overlap of a stale basis, in float64 from the factor itself."""
    run = Run(lane("shampoo", period=50, start=10), run_id="a")
    trace = recorded(run, 39)
    recorded_rows = recorded(run, 1).snapshots.to_pandas()
    position = run.recorder.followed
    factor_stack = next(
        factor_stack for factor_stack in run.optimizer.factor_stacks() if position in factor_stack.positions
    )
    row = factor_stack.positions.index(position)
    current = factor_stack.current([row])[0].double().numpy()
    basis, old = factor_stack.basis[row].double().numpy(), factor_stack.eigenvalues[row].double().numpy()
    epsilon, root = factor_stack.epsilon[row], factor_stack.root
    values, vectors = np.linalg.eigh(current)
    fresh = (vectors * (values + epsilon).clip(0) ** (-1 / root)) @ vectors.T
    stale = (basis * (old + epsilon) ** (-1 / root)) @ basis.T
    error = np.linalg.norm(fresh - stale) / np.linalg.norm(stale)
    shown = recorded_rows[(recorded_rows.step == 40) & (recorded_rows.factor == position)].iloc[0]
    assert shown.last_decomposition_step == 10
    assert shown.true_error == pytest.approx(error, rel=0.05)
    assert shown.eigenvalues[:20] == pytest.approx(np.sort(values)[::-1][:20], rel=1e-3)
    overlap = (basis[:, np.argsort(-old)].T @ vectors[:, ::-1]) ** 2
    pooled = overlap.reshape(64, 2, 64, 2).sum((1, 3)) / 2
    drawn = np.frombuffer(shown.overlap, np.uint8).reshape(64, 64) / 255
    assert np.abs(drawn[:16, :16] - pooled[:16, :16]).max() < 0.02
    expected = turned(basis[:, np.argsort(-old)].T @ vectors[:, ::-1], values[::-1])
    assert shown.turn == pytest.approx(expected.share, rel=1e-3) and 0.05 < shown.turn < 1
    assert shown.top_angles == pytest.approx(expected.angles, rel=1e-3)
    assert trace.rows("snapshots")


def test_h_and_residual_of_a_policy_that_needs_neither_agree_with_a_dense_reference() -> None:
    run = Run(lane("shampoo", period=10), run_id="a")
    recorded(run, 19)
    position = run.recorder.followed
    factor_stack = next(
        factor_stack for factor_stack in run.optimizer.factor_stacks() if position in factor_stack.positions
    )
    row = factor_stack.positions.index(position)
    basis, old = factor_stack.basis[row].double().numpy(), factor_stack.eigenvalues[row].double().numpy()
    checks = recorded(run, 1).checks.to_pandas()
    current = factor_stack.current([row])[0].double().numpy()
    rotated = basis.T @ current @ basis
    off = rotated - np.diag(np.diag(rotated))
    shown = checks[checks.factor == position].iloc[0]
    assert shown.residual == pytest.approx(np.linalg.norm(off) / np.linalg.norm(rotated), rel=1e-2)
    s = np.maximum(old, 2.0**-23 * old.max()) + factor_stack.epsilon[row]
    drift = np.linalg.norm((rotated - np.diag(old)) / np.sqrt(np.outer(s, s)))
    alpha = (s**-0.5).max() / np.linalg.norm(s**-0.5)
    assert shown.proxy == pytest.approx(drift * alpha / 2, rel=2e-2)
    assert shown.relative_condition == pytest.approx(drift, rel=2e-2)


@pytest.mark.parametrize(
    "optimizer",
    ["shampoo-staggered", "soap", "soap-residual", "shampoo-eigenvalue-corrected", "kl-shampoo", "kl-soap", "splus"],
)
def test_every_factor_has_its_snapshot_whoever_is_checked(optimizer: str) -> None:
    trace = recorded(Run(lane(optimizer), run_id="a"), 100)
    snapshots = trace.snapshots.to_pandas()
    at = snapshots[snapshots.step == 100]
    assert sorted(at.factor) == list(range(len(trace.manifest.factors)))
    assert at.overlap.notna().all()
    if optimizer != "shampoo-staggered":  # these do not damp their factors: there is no such number, not a zero
        assert at.epsilon.isna().all()
        assert trace.checks.to_pandas().epsilon.isna().all()


@pytest.mark.parametrize(
    "optimizer", ["shampoo", "foam", "soap", "shampoo-eigenvalue-corrected", "kl-shampoo", "splus"]
)
@pytest.mark.parametrize("task", ["tiny-gpt", "digits-vit"])
def test_hidden_matrices_alone_have_factors(task: str, optimizer: str) -> None:
    """Biases, norms, embeddings and heads go to AdamW; patches enter by a linear map, which is a matrix like others."""
    experiment, errors = config.build(
        task, {"width": 16, "depth": 1, "batch_size": 8}, lanes=[(optimizer, {"precondition": "matrices"})]
    )
    assert not errors
    run = Run(experiment.lane_config(0), run_id="a")
    hidden = {"attention.inward", "attention.outward", "widen", "narrow"}
    wanted = {f"blocks.0.{name}.weight" for name in hidden} | ({"embed.weight"} if task == "digits-vit" else set())
    assert {factor.parameter for factor in run.factors} == wanted
    shapes = {name: tuple(parameter.shape) for name, parameter in run.model.named_parameters()}
    assert all(factor.size == shapes[factor.parameter][factor.dim] for factor in run.factors)
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    for _ in range(2):
        run.advance()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in run.model.named_parameters())


def test_by_default_every_parameter_has_factors() -> None:
    experiment, _ = config.build("tiny-gpt", {"width": 16, "depth": 1, "batch_size": 8}, lanes=[("shampoo", {})])
    run = Run(experiment.lane_config(0), run_id="a")
    assert {factor.parameter for factor in run.factors} == {name for name, _ in run.model.named_parameters()}


def test_recording_changes_nothing() -> None:
    on, off = (Run(lane(), run_id="a", recording=flag) for flag in (True, False))
    for _ in range(40):
        on.advance()
        off.advance()
    for a, b in zip(on.model.parameters(), off.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_divergence_ends_the_run_and_keeps_its_trace() -> None:
    run = Run(lane("sgd", lr=1e3), run_id="a")
    trace = recorded(run, 200)
    assert run.status == "diverged"
    assert trace.manifest.status == "diverged"
    last = trace.values("steps", "step")[-1]
    assert trace.manifest.diverged_step == last == run.step
    losses = trace.values("steps", "loss")
    assert not math.isfinite(losses[-1])
    assert np.isfinite(losses[:-1]).all()
    assert trace.events["kind"].to_pylist() == ["diverged"]


def test_a_run_ends_at_its_last_step() -> None:
    settings = lane()
    settings["run_settings"]["steps"] = 7
    run = Run(settings, run_id="a")
    assert recorded(run, 50).values("steps", "step")[-1] == 7
    assert run.status == "finished"


@pytest.mark.parametrize("optimizer", ["foam", "shampoo", "dr-shampoo", "adamw"])
def test_a_continued_run_is_the_run(optimizer: str) -> None:
    whole = recorded(Run(lane(optimizer), run_id="a"), 60)
    first = Run(lane(optimizer), run_id="a")
    begun = recorded(first, 33)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = Run(lane(optimizer), run_id="a")
    second.restore(torch.load(file, weights_only=True))
    rest = recorded(second, 27)
    for name in ("steps", "checks", "snapshots", "events"):
        begun.append(name, rest.table(name))
    assert_same_rows(whole, begun)


def test_the_schedule_drives_the_learning_rate() -> None:
    settings = lane("adamw", lr=0.01)
    settings["run_settings"] |= {"schedule": "linear-decay", "decay_steps": 4}
    rates = recorded(Run(settings, run_id="a"), 5).values("steps", "learning_rate")
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0])


def test_the_recorder_is_not_charged_to_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that burns CPU at every check leaves the optimizer's seconds as they were."""
    import time

    def burn(*_: object) -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    run = Run(lane("shampoo", start=1, period=1), run_id="a")
    original = run.recorder._record_check
    monkeypatch.setattr(run.recorder, "_record_check", lambda seen: (burn(), original(seen)))
    began = time.thread_time()
    for _ in range(3):
        run.advance()
    burnt = 0.05 * 3 * len(run.optimizer.factor_stacks())
    spent = time.thread_time() - began
    assert spent > burnt
    assert sum(run.clock.seconds().values()) < spent - 0.95 * burnt


@pytest.mark.parametrize("optimizer", ["foam", "sgd:diverging"])
def test_losses_gathered_on_a_device_are_the_same_rows(optimizer: str) -> None:
    """A GPU reads its losses ten at a time; the trace does not show it, nor does a divergence in between."""
    settings = lane("sgd", lr=1e3) if optimizer.endswith("diverging") else lane(optimizer)
    one, ten = (Run(settings, run_id="a") for _ in range(2))
    ten._gather = 10
    traces = [recorded(run, 47) for run in (one, ten)]
    assert str(traces[0].steps["loss"].to_pylist()) == str(traces[1].steps["loss"].to_pylist())
    assert one.diverged_step == ten.diverged_step
    assert one.step == ten.step


def test_digits_autoencoder_as_the_papers_story_has_it() -> None:
    """One seed of the comparison that the benchmark makes in full: staleness costs, FOAM saves at a small price."""
    experiment, _ = config.build(
        run_settings={"steps": 600},
        lanes=[
            ("shampoo", {"period": 10}),
            ("shampoo", {"period": 50}),
            ("shampoo", {"period": 100}),
            ("foam", {}),
        ],
    )
    losses, decompositions = [], []
    for place in range(4):
        run = Run(experiment.lane_config(place), run_id=str(place), recording=False)
        run.optimizer.observer = None
        while run.live:
            run.advance()
        losses.append(run.drain()["steps"]["loss"].to_numpy()[-20:].mean())
        decompositions.append(sum(factor.decompositions for factor in run.optimizer.factors()))
    assert losses[0] < losses[1] < losses[2]
    assert losses[3] < 1.15 * losses[0]
    assert decompositions[3] <= 0.25 * decompositions[0]
    assert losses[0] == pytest.approx(0.28, rel=0.06)


def test_a_factor_that_cannot_be_decomposed_has_no_snapshot() -> None:
    run = Run(lane("foam"), run_id="a")
    recorded(run, 12)
    factor_stack = run.optimizer.factor_stacks()[0]
    factor_stack.statistics[0] = float("nan")
    run.recorder.after_step(100, run.optimizer)
    shown = run.recorder.drain()["snapshots"]["factor"].to_pylist()
    assert factor_stack.positions[0] not in shown
    assert len(shown) == len(run.optimizer.factors()) - 1


def test_a_check_that_failed_is_no_reuse() -> None:
    run = Run(lane("foam", period=10), run_id="a")
    recorded(run, 19)
    factor_stack = run.optimizer.factor_stacks()[0]
    factor_stack.statistics[0] = float("nan")
    checks = recorded(run, 1).checks.to_pandas()
    failed = checks[checks.factor == factor_stack.positions[0]].iloc[0]
    assert (failed.decision, failed.checks, failed.decompositions, failed.reuses) == ("failure", 1, 0, 0)


def test_a_run_in_float64_has_its_state_in_float64_and_resumes() -> None:
    experiment, errors = config.build(
        task_settings={"batch_size": 16}, run_settings={"steps": 60, "precision": "float64"}, lanes=[("foam", {})]
    )
    assert not errors
    whole, half, other = (Run(experiment.lane_config(0), run_id="a") for _ in range(3))
    assert {parameter.dtype for parameter in whole.model.parameters()} == {torch.float64}
    assert {factor_stack.statistics.dtype for factor_stack in whole.optimizer.factor_stacks()} == {torch.float64}
    expected = recorded(whole, 30)
    assert expected.manifest.config["run_settings"]["precision"] == "float64"
    recorded(half, 15)
    saved = io.BytesIO()
    torch.save(half.state(), saved)
    saved.seek(0)
    other.restore(torch.load(saved, weights_only=True))
    assert list(recorded(other, 15).values("steps", "loss")) == list(expected.values("steps", "loss")[15:])
    single = recorded(Run(lane(), run_id="b"), 30)
    assert single.values("steps", "loss")[0] == pytest.approx(expected.values("steps", "loss")[0], rel=1e-5)
    assert list(single.values("steps", "loss")) != list(expected.values("steps", "loss"))
