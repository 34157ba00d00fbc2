from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foam_viz.analysis.finding import Finding, few
from foam_viz.analysis.findings import findings
from foam_viz.trace import Manifest, Trace
from foam_viz.trace.disk.bundle import is_bundle, read
from tests.analysis.runs import checks, infos, losses, run
from tests.synthetic import SyntheticRun

SAMPLES = Path(__file__).resolve().parents[2] / "sample_runs"
STEPS = np.arange(1, 601)


def _kinds(trace: Trace) -> list[str]:
    return [finding.kind for finding in findings(trace)]


def _one(trace: Trace, kind: str) -> Finding:
    (found,) = [finding for finding in findings(trace) if finding.kind == kind]
    return found


def _factor(count: int = 60, **columns: object) -> Trace:
    """A run of one factor checked at every tenth step."""
    step = np.arange(1, count + 1) * 10
    trace = run(step=step, loss=np.linspace(2, 1, count), factors=infos(1), optimizer="foam",
                config={"optimizer_settings": {"tau": 0.75, "epsilon": 1e-9, "epsilon_max": 1e-6}})  # fmt: skip
    ones = np.ones(count, dtype=np.int32)
    return checks(trace, **{"step": step, "factor": 0 * ones, "checks": ones, **columns})


@pytest.mark.parametrize("path", [p for p in sorted(SAMPLES.glob("*.zip")) if is_bundle(p)], ids=lambda path: path.stem)
def test_recorded_runs_that_went_well_raise_no_alarm(path: Path) -> None:
    trace = read(path)
    alarms = [finding for finding in findings(trace) if finding.severity != "note"]
    if trace.manifest.status == "diverged":
        assert alarms[0].kind in ("diverged", "not-finite")
    else:
        shift = (trace.manifest.config.get("task_settings") or {}).get("shift_at") or np.inf
        assert [finding for finding in alarms if not shift - 50 <= finding.step <= shift + 100] == []


@pytest.mark.parametrize("kind", ["foam", "shampoo", "dr-shampoo", "adamw"])
def test_made_up_runs_that_went_well_raise_no_alarm(kind: str) -> None:
    assert _kinds(SyntheticRun(kind).advance(1500).trace) == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [0.01, 0.07, 0.3])
def test_noise_is_no_spike(seed: int, noise: float) -> None:
    assert _kinds(run(step=np.arange(1, 5001), loss=losses(5000, seed, noise))) == []


def test_empty_traces_are_calm() -> None:
    assert findings(run()) == [] == findings(Trace.empty(Manifest(run_id="x", name="x", factors=infos(2))))


def test_a_spike_is_found_at_its_peak() -> None:
    loss = losses()
    loss[299:303] *= [3, 6, 5, 2]
    found = _one(run(step=STEPS, loss=loss), "loss-spike")
    assert (found.step, found.column, found.severity) == (301, "loss", "warning")
    assert "returns" in found.words and "10 are a spike" in found.words and f"{loss[300]:.3g}" in found.words


def test_a_rise_that_stays_is_no_spike() -> None:
    loss = losses()
    loss[300:] *= 6
    assert _kinds(run(step=STEPS, loss=loss)) == []


def test_many_spikes_are_few_findings_with_a_count() -> None:
    loss = losses(5000)
    loss[200::200] *= 8
    found = [finding for finding in findings(run(step=np.arange(1, 5001), loss=loss)) if finding.kind == "loss-spike"]
    assert len(found) == 8 and "16 more spikes" in found[-1].words


def test_a_divergence_names_its_step_and_the_last_loss_before() -> None:
    loss = losses()
    loss[400:] = np.nan
    trace = run(step=STEPS, loss=loss)
    found = _one(trace, "diverged")
    assert (found.step, found.severity) == (401, "error") and "step 400" in found.words
    assert findings(trace)[0].severity == "error"


def test_the_first_value_that_is_not_finite_of_every_column() -> None:
    norm = np.ones(600)
    norm[[99, 199]] = np.inf, np.nan
    trace = run(
        step=STEPS, loss=losses(), gradient_norm=norm, held_out_loss=[None] * 599 + [1.0], step_avg=[np.nan] * 600
    )
    found = {finding.column: finding for finding in findings(trace) if finding.kind == "not-finite"}
    assert found.keys() == {"gradient_norm", "step_avg"}, "null is no value"
    assert found["gradient_norm"].severity == "warning"
    assert found["gradient_norm"].step == 100 and "infinite" in found["gradient_norm"].words
    assert "2 of 600" in found["gradient_norm"].words
    assert found["step_avg"].severity == "note" and "never" in found["step_avg"].words


def test_a_proxy_that_is_not_finite_names_its_factor() -> None:
    proxy = np.full(60, 0.1)
    proxy[30] = np.nan
    found = _one(_factor(proxy=proxy), "not-finite")
    assert (found.step, found.factor, found.column) == (310, 0, "proxy")


def test_damping_at_its_cap_for_long() -> None:
    epsilon = np.full(60, 1e-8)
    epsilon[20:45] = 1e-6
    found = _one(_factor(epsilon=epsilon), "epsilon-at-cap")
    assert (found.step, found.factor) == (210, 0) and "to 450" in found.words and "42 %" in found.words
    short = np.full(60, 1e-8)
    short[20:28] = 1e-6
    assert _kinds(_factor(epsilon=short)) == []


def test_damping_that_has_no_room_is_not_at_its_cap() -> None:
    trace = _factor(epsilon=np.full(60, 1e-6))
    settings = {"tau": 0.75, "epsilon": 1e-6, "epsilon_max": 1e-6}
    trace.manifest = trace.manifest.with_(config={"optimizer_settings": settings})
    assert _kinds(trace) == []


def test_counts_of_intervals_at_the_cap() -> None:
    trace = run(factors=infos(1), optimizer="foam", config={"epsilon": 1e-4, "max_epsilon": 0.1})
    rows = {"step": [100, 200, 300, 400], "interval_start": [1, 101, 201, 301], "factor": [0] * 4, "checks": [50] * 4}
    checks(trace, **rows, epsilon=[1e-4, 0.1, 0.1, 0.1], decompositions=[1, 0, 0, 2])
    assert "75 %" in _one(trace, "epsilon-at-cap").words


def test_a_factor_never_refreshed_although_it_drifted() -> None:
    done = np.zeros(60, dtype=np.int32)
    done[0] = 1
    found = _one(_factor(decompositions=done, proxy=np.linspace(0, 3, 60)), "never-refreshed")
    assert (found.step, found.factor, found.severity) == (10, 0, "warning") and "above 0.75" in found.words
    assert _kinds(_factor(decompositions=done, proxy=np.full(60, 0.5))) == [], "kept because it was still good"
    assert _one(_factor(decompositions=done), "never-refreshed").severity == "note"
    done[30] = 1
    assert _kinds(_factor(decompositions=done, proxy=np.linspace(0, 3, 60))) == []


def test_a_factor_never_refreshed_again_was_decomposed_where_its_log_says() -> None:
    trace = run(factors=infos(1), optimizer="foam", config={"matrix_root_inv_threshold": 0.5})
    rows = {"step": [32, 64], "interval_start": [1, 33], "factor": [0] * 2, "checks": [16] * 2}
    checks(trace, **rows, decompositions=[1, 0], proxy=[0.4, 0.9], last_decomposition_step=[2, 2])
    found = _one(trace, "never-refreshed")
    assert found.step == 2 and "only once, at step 2, 62 steps before the end" in found.words
    assert "h = 0.900 at step 64 is above 0.5" in found.words
    silent = checks(run(factors=infos(1)), **rows, decompositions=[1, 0])
    assert "only once, in steps 1 to 32" in _one(silent, "never-refreshed").words
    resumed = checks(run(factors=infos(1)), **rows, decompositions=[0, 0], last_decomposition_step=[2, 2])
    assert "last decomposed at step 2" in _one(resumed, "never-refreshed").words


def test_the_refresh_rate_jumps() -> None:
    count, factors = 200, 20
    step = np.repeat(np.arange(1, count + 1) * 10, factors)
    trace = run(step=np.arange(1, 2001), loss=losses(2000), factors=infos(factors))
    random = np.random.default_rng(0)
    rate = np.where((step > 1200) & (step <= 1400), 0.7, 0.08)
    done = (random.random(len(step)) < rate).astype(np.int32)
    owner = np.tile(np.arange(factors, dtype=np.int32), count)
    checks(trace, step=step, factor=owner, checks=np.ones(len(step), dtype=np.int32), decompositions=done)
    found = _one(trace, "refresh-rate-jump")
    assert 1150 <= found.step <= 1260 and "% of checks" in found.words
    assert "per factor and 100 steps" in found.words


def test_steps_that_take_longer() -> None:
    random = np.random.default_rng(0)
    seconds = np.where(STEPS > 400, 0.05, 0.01) * random.uniform(0.8, 1.3, 600)
    found = _one(run(step=STEPS, loss=losses(), optimizer_seconds=np.cumsum(seconds)), "step-time-jump")
    assert 390 <= found.step <= 420 and "optimizer_seconds" in found.words
    pauses = np.where(STEPS % 100 == 0, 3.0, 0.01) * random.uniform(0.8, 1.3, 600)
    assert _kinds(run(step=STEPS, loss=losses(), total_seconds=np.cumsum(pauses))) == [], "evaluations are no jump"


def test_gaps_and_falling_steps() -> None:
    step = np.concatenate([np.arange(1, 200), np.arange(300, 500), np.arange(450, 600)])
    trace = run(step=step, loss=losses(len(step)))
    gap, fall = _one(trace, "step-gap"), _one(trace, "falling-steps")
    assert gap.step == 199 and "step 199 and step 300" in gap.words and fall.step == 450 and "499" in fall.words
    assert _kinds(run(step=[1, 2, 3, 1000], loss=[4.0, 3.0, 2.0, 1.0])) == [], "four rows have no usual distance"


def test_failed_checks_are_counted() -> None:
    decisions = ["first"] + ["reuse"] * 40 + ["failure"] * 3 + ["reuse"] * 16
    found = _one(_factor(decision=decisions), "failed-checks")
    assert (found.step, found.factor) == (420, 0) and found.words.startswith("3 checks")


def test_the_gravest_are_kept_in_order_of_step() -> None:
    found = [(float(weight), Finding("x", "note", step, "w.")) for weight, step in ((1, 5), (9, 7), (5, 2))]
    kept = few(found, 2, "things")
    assert [finding.step for finding in kept] == [2, 7] and kept[-1].words == "w. And 1 more things."
