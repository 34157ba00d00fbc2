"""Replays: the run's own setting bit for bit, other settings against an independent program, errors against float64."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from foam_viz import cli
from foam_viz.analysis import calibrate
from foam_viz.analysis.replay import Summary
from foam_viz.analysis.replay_setting import NoReplay, Setting, noted_setting, tau_and_cap
from foam_viz.analysis.what_if import as_trace
from foam_viz.engine.replay import building, recording, spill
from foam_viz.engine.replay import plan as plans
from foam_viz.engine.replay.errors import ErrorMeter
from foam_viz.engine.replay.plan import Plan, prepare_path
from foam_viz.optim.fields import FieldError
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam, Policy
from foam_viz.optim.shampoo import Shampoo
from foam_viz.recording import stream
from foam_viz.recording.stream import Record, reading
from foam_viz.trace import Manifest, Stream, Writer
from foam_viz.trace.counts import refreshes
from foam_viz.trace.disk import bundle
from foam_viz.trace.model import Trace

SETTINGS = {
    "foam": ("tau=0.3",),
    "foam-fixed-damping": ("tau=0.3",),
    "foam-no-refresh": ("tau=0.3",),
    "foam-fresh-eigenvalues": ("tau=0.2",),
    "dr-shampoo": ("tau=0.1",),
    "shampoo": (),
    "shampoo-staggered": (),
}


def train(place: Path, optimizer: str, *sets: str, steps: int = 60) -> Path:
    assignments = [part for text in ("period=5", "start=10", "width=24", *sets) for part in ("--set", text)]
    given = ["train", "--optimizer", optimizer, "--steps", str(steps), "--stream", "--quiet", *assignments]
    assert cli.main([*given, "--out", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def foam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Trace]:
    torch.set_num_threads(1)
    place = train(tmp_path_factory.mktemp("runs") / "foam", "foam", "tau=0.3", steps=100)
    return prepare_path(place), bundle.read(place)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_stream_too_large_for_memory_lies_in_files_and_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    torch.set_num_threads(1)
    place = train(tmp_path / "run", "foam", "tau=0.3")
    setting = {"tau": 0.15, "epsilon_max": 1e-4}
    held = prepare_path(place)
    monkeypatch.setattr(building, "MEMORY_BYTES", 0)
    monkeypatch.setattr(recording, "TELL_SECONDS", -1.0)
    monkeypatch.setattr(plans, "_LARGE_STREAM", 0)
    told: list[str] = []
    source = place
    if zipped:
        source = tmp_path / "run.zip"
        stream.pack(place, source)
        assert stream.size_of(source) == stream.size_of(place)
    monkeypatch.setattr(reading, "_assemble", lambda _: pytest.fail("the whole stream was read at once"))
    spilled = prepare_path(source, lambda _, words: told.append(words))
    try:
        assert spilled.recording.spill is not None and held.recording.spill is None
        assert spilled.recording.bytes == 0 and spilled.recording.spill.bytes >= held.recording.bytes
        assert any("GB of memory and" in words and "GB of disk" in words for words in told)
        for one, other in (
            (held.run(), spilled.run()),
            (held.run(held.own.changed(setting)), spilled.run(spilled.own.changed(setting))),
        ):
            assert one.table.equals(other.table) and one.exact == other.exact
    finally:
        spilled.close()
        held.close()


def test_the_time_that_a_preparation_takes_is_estimated_anew_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = train(tmp_path / "run", "foam", "tau=0.3")
    monkeypatch.setattr(recording, "TELL_SECONDS", -1.0)
    monkeypatch.setattr(recording, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(recording, "_LONG_SECONDS", -1.0)
    monkeypatch.setattr(plans, "TELL_SECONDS", -1.0)
    slow, eigh = [0.2], recording.linalg.eigh_robust

    def later(*given: object, **more: object) -> object:
        time.sleep(slow[0])
        return eigh(*given, **more)

    def progress(_: float, words: str) -> None:
        told.append(words)
        if words.startswith("it takes"):
            slow[0] = 0.0  # the first portion was slow, the others are not

    told: list[str] = []
    monkeypatch.setattr(recording.linalg, "eigh_robust", later)
    prepare_path(place, progress)
    seconds = [int(found[1].replace(",", "")) for words in told if (found := re.search(r"about ([\d,]+) s", words))]
    assert seconds[0] >= 40 > 20 > seconds[-1], "an estimate that was wrong is mended while it goes"
    assert any("replaying the run's own setting: 1 of" in words for words in told)
    assert any("measuring its errors" in words for words in told), "what is told, and can be stopped, to the end"


def test_temporary_files_that_the_disk_has_no_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(spill.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(NoReplay, match=r"it would take 2\.0 GB of temporary files, and their disk has 1\.0 GB free"):
        spill.Spill(2 * 10**9)


@pytest.mark.parametrize("rule", ["floor", "shift"])
@pytest.mark.parametrize("optimizer", SETTINGS)
def test_the_own_setting_comes_back_bit_for_bit(tmp_path: Path, optimizer: str, rule: str) -> None:
    torch.set_num_threads(1)
    place = train(tmp_path / "run", optimizer, f"eigenvalues={rule}", *SETTINGS[optimizer])
    plan, trace = prepare_path(place), bundle.read(place)
    replay = plan.run()
    assert replay.exact and not replay.open_loop
    assert replay.checks == len(trace.checks) > 100
    order = np.lexsort((trace.values("checks", "factor"), trace.values("checks", "step")))
    recorded = trace.checks.take(order)
    for column in ("step", "factor", "decision", "epsilon_before", "epsilon", "last_decomposition_step"):
        assert replay.table[column].to_pylist() == recorded[column].to_pylist(), column
    kind = plan.own.policy.measures
    if kind is not None:
        assert replay.table["measure"].null_count == len(trace.manifest.factors)  # of the first check
        assert replay.table["measure"].to_pylist() == [
            None if row["decision"] == "first" else row[kind] for row in recorded.to_pylist()
        ]
    assert replay.differs(trace.checks) == 0
    if optimizer in ("foam", "foam-fixed-damping", "dr-shampoo", "foam-fresh-eigenvalues"):
        assert replay.reuses > 0 and len(trace.manifest.factors) < replay.decompositions < replay.checks
    assert plan.run().table.equals(replay.table)


def reference(record: Record, setting: Setting, id: str) -> list[tuple[int, bool, float, float]]:
    """FOAM of one factor by the formulas of the paper, in float64: step, decomposes, eps, error against fresh."""
    tau, fresh, cap = (setting.values[name] for name in ("tau", "epsilon", "epsilon_max"))
    basis = values = None
    epsilon, found = fresh, []
    for sample in record.samples:
        if sample.id != id or sample.kind != "factor":
            continue
        current = sample.values.astype(float) / (1 - sample.beta**sample.steps)
        eigen, vectors = np.linalg.eigh(current)  # of the lower triangle, as training
        decomposes = basis is None
        if basis is not None:
            s = np.maximum(values, 2.0**-52 * values.max()) + epsilon
            drift = (basis.T @ current @ basis - np.diag(values)) / np.sqrt(np.outer(s, s))
            alpha = (s**-0.5).max() / np.linalg.norm(s**-0.5)
            wanted = max(fresh, epsilon * np.linalg.norm(drift) * alpha / 2 / tau)
            decomposes = wanted > cap
        if decomposes:
            basis, values, epsilon = vectors, eigen, fresh
        else:
            epsilon = wanted
        used, now = (np.maximum(d, 2.0**-52 * d.max()) for d in (values, eigen))
        inverse = (basis * (used + epsilon) ** -0.5) @ basis.T
        truth = (vectors * (now + fresh) ** -0.5) @ vectors.T
        damped = (vectors * (now + epsilon) ** -0.5) @ vectors.T
        parts = [np.linalg.norm(a - b) / np.linalg.norm(truth) for a, b in ((inverse, truth), (inverse, damped))]
        found.append((sample.step, decomposes, epsilon, *parts, np.linalg.norm(damped - truth) / np.linalg.norm(truth)))
    return found


def test_rates_of_a_replay_are_counted_as_those_of_the_run(foam: tuple[Plan, Trace]) -> None:
    plan, trace = foam
    shown = as_trace(plan.run(), trace.manifest, trace.view().last_step)
    assert refreshes(shown) == refreshes(trace)


@pytest.mark.parametrize("changes", [{"tau": 0.1}, {"tau": 0.6, "epsilon_max": 1e-4}, {"epsilon": 1e-5}])
def test_another_setting_agrees_with_the_formulas(foam: tuple[Plan, Trace], changes: dict) -> None:
    manifest = foam[1].manifest
    samples = tuple(
        stream.Sample(step, "factor", factor.info.id, matrix.double().numpy(), factor.root, None, factor.beta, count)
        for factor in foam[0].recording.factors
        for step, count, matrix in zip(factor.steps, factor.counts, factor.statistics, strict=True)
    )
    record = Record(samples, spacing=foam[0].recording.grid.spacing)
    plan = Plan.prepare(manifest, record)
    setting = plan.own.changed(changes)
    replay = plan.run(setting)
    assert replay.open_loop
    rows = replay.table.to_pylist()
    compared = 0
    for number, info in enumerate(manifest.factors):
        mine = [row for row in rows if row["factor"] == number]
        for row, other in zip(mine, reference(record, setting, info.id), strict=True):
            step, decomposes, epsilon, error, staleness, damping = other
            assert (row["step"], row["decision"] != "reuse") == (step, decomposes)
            assert row["epsilon"] == pytest.approx(epsilon, rel=1e-6)
            for name, value in (("error", error), ("staleness_error", staleness), ("damping_error", damping)):
                assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
            assert row["error"] <= row["staleness_error"] + row["damping_error"] + 1e-9
            compared += 1
    assert compared > 300


def test_many_settings_in_one_walk_are_the_same_as_one_by_one(foam: tuple[Plan, Trace]) -> None:
    plan, _ = foam
    settings = tau_and_cap(plan.own, [0.2, 0.5, 0.9], [1e-5, 1e-4])
    settings += [plan.own.changed({"optimizer": name}) for name in SETTINGS]
    settings += [plan.own.changed({"eigenvalues": "shift"}), plan.own.changed({"period": 20, "start": None})]
    together = plan.run_many(settings)
    fresh = Plan(plan.recording)
    for setting, replay in zip(settings, together, strict=True):
        alone = fresh.run(setting)
        assert alone.setting == setting
        for name in ("decision", "epsilon", "measure", "last_decomposition_step"):
            assert alone.table[name].equals(replay.table[name])
        np.testing.assert_allclose(alone.values("error"), replay.values("error"), rtol=1e-5, atol=1e-6)
    for summary, replay in zip(plan.summaries(settings), together, strict=True):
        assert (summary.checks, summary.decompositions) == (replay.checks, replay.decompositions)
        assert summary.cap_refreshes == replay.cap_refreshes
        assert summary.error_left == pytest.approx(replay.error_left)
        assert Summary.from_json(summary.to_json()) == summary
    assert plan.summaries(settings[:1], error_every=0)[0].to_json()["error_left"] is None


def test_every_check_of_a_map_is_decided_as_training_decides(foam: tuple[Plan, Trace], tmp_path: Path) -> None:
    plan, _ = foam
    broken = stream.read(train(tmp_path / "broken", "foam", "tau=0.3"))
    names = {plan.recording.factors[0].info.id, plan.recording.factors[3].info.id}
    samples = [
        replace(sample, values=np.full_like(sample.values, np.nan))
        if sample.id in names and sample.step > 40
        else sample
        for sample in broken.samples
    ]
    manifest = bundle.read(tmp_path / "broken").manifest
    for some in (plan, Plan.prepare(manifest, replace(broken, samples=tuple(samples)))):
        settings = tau_and_cap(some.own, [0.05, 0.2, 0.5, 0.9], [1e-5, 1e-4])
        settings += [some.own.changed({"optimizer": name}) for name in SETTINGS]
        seen: set[str] = set()
        for setting, replay in zip(settings, some.run_many(settings), strict=True):
            epsilon, began = {}, set()
            for row in replay.table.to_pylist():
                factor = row["factor"]
                assert row["epsilon_before"] == epsilon.get(factor, setting.policy.epsilon)
                decision = setting.policy.decide(
                    epsilon=row["epsilon_before"], measure=row["measure"], has_basis=factor in began
                )
                if row["decision"] == "failure":
                    assert some is not plan and row["epsilon"] == row["epsilon_before"]
                else:
                    assert (row["decision"], row["epsilon"]) == (decision.reason, decision.epsilon)
                assert (row["last_decomposition_step"] == row["step"]) == (row["decision"] not in ("reuse", "failure"))
                epsilon[factor] = row["epsilon"]
                began |= {factor} if row["last_decomposition_step"] is not None else set()
                seen.add(row["decision"])
        assert seen == {"first", "reuse", "cadence", "cap", "threshold"} | ({"failure"} if some is not plan else set())


def test_fixed_periods_and_turns_come_from_the_recorded_checks(foam: tuple[Plan, Trace]) -> None:
    plan, trace = foam
    shampoo = plan.own.changed({"optimizer": "shampoo", "period": 20})
    steps = sorted(set(plan.run(shampoo).values("step").tolist()))
    assert steps == [10, 20, 40, 60, 80, 100]  # the first check is at start
    turns = plan.run(plan.own.changed({"optimizer": "shampoo-staggered", "period": 20}))
    each = turns.per_factor()
    assert {one["checks"] for one in each} <= {5, 6}
    later = turns.values("step")[turns.values("step") > 10]
    assert len(set(later.tolist())) > 8, "taking turns spreads the checks over the period"
    assert plan.recording.grid.periods[:3] == (5, 10, 15)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"period": 7}, "period = 7: must be a multiple of 5, the steps between recorded checks; for example 5"),
        ({"tau": "2"}, "tau = 2: must be a number strictly between 0 and 1"),
        ({"epsilon_max": 1e-9}, "epsilon_max = 1e-9: must be at least epsilon = "),
        ({"beta2": 0.9}, "beta2"),
        ({"optimizer": "adamw"}, "optimizer = adamw: must be one of shampoo, foam"),
        ({"start": 3}, "start = 3: must be 10, the first recorded check"),
    ],
)
def test_what_a_stream_cannot_answer_is_refused(foam: tuple[Plan, Trace], changes: dict, told: str) -> None:
    plan, _ = foam
    with pytest.raises(FieldError) as error:
        plan.run(plan.own.changed(changes))
    assert told in str(error.value)


def test_drift_is_read_at_the_damping_that_is_suggested_not_at_that_of_the_run(foam: tuple[Plan, Trace]) -> None:
    plan = foam[0]
    found = plan.spectra()
    fresh = calibrate.fresh_damping(found.most)
    assert fresh != plan.own.policy.epsilon
    alphas = []
    for factor in plan.recording.factors:
        roots = (factor.floored.double().numpy() + fresh) ** (-1 / factor.root)
        alphas += (roots.max(-1) / np.linalg.norm(roots, axis=-1)).tolist()
    assert found.alpha == pytest.approx(np.median(alphas))


def test_near_ties_are_counted(foam: tuple[Plan, Trace]) -> None:
    plan, _ = foam
    replay = plan.run()
    measured = [row for row in replay.table.to_pylist() if row["measure"] is not None]
    tau, fresh, cap = (plan.own.values[name] for name in ("tau", "epsilon", "epsilon_max"))
    wanted = [max(fresh, row["epsilon_before"] * row["measure"] / tau) for row in measured]
    assert replay.near_ties == sum(abs(e / cap - 1) <= 0.01 for e in wanted)
    # A cap at a number that some check asks for makes at least that check a near-tie.
    some = next(e for e in wanted if fresh * 1.5 < e <= cap)
    assert plan.run(plan.own.changed({"epsilon_max": some})).near_ties >= 1


def test_update_errors_are_there_where_gradients_were_kept(foam: tuple[Plan, Trace]) -> None:
    plan, _ = foam
    rows = plan.run(updates=True).updates
    assert {row["step"] for row in rows} == set(plan.recording.gradients) == {50, 100}
    assert all(row["error"] >= 0 and -1 <= row["cosine"] <= 1 for row in rows)
    always = plan.run(plan.own.changed({"optimizer": "shampoo"}), updates=True).updates
    assert max(row["error"] for row in always) < 1e-3 < max(row["error"] for row in rows)
    assert any(row["grafted_error"] < row["error"] for row in rows)


def test_a_run_without_a_stream_says_how_to_get_one(tmp_path: Path) -> None:
    assert cli.main(["train", "--steps", "10", "--out", str(tmp_path / "plain"), "--quiet"]) == 0
    with pytest.raises(NoReplay, match="kept no factor stream.*--stream"):
        prepare_path(tmp_path / "plain")
    assert cli.main(["train", "--optimizer", "soap", "--steps", "10", "--out", str(tmp_path / "soap"), "--quiet"]) == 0
    with pytest.raises(NoReplay, match=r"SOAP has no damped inverse roots.*: Shampoo; FOAM; FOAM, fixed damping; "):
        prepare_path(tmp_path / "soap")


def test_a_single_check_and_a_factor_that_is_not_finite(tmp_path: Path) -> None:
    place = train(tmp_path / "one", "foam", steps=10)
    plan = prepare_path(place)
    replay = plan.run()
    assert replay.decompositions == replay.checks == len(plan.recording.factors)
    assert any("always decomposes" in note for note in replay.notes)
    place = train(tmp_path / "nan", "foam", steps=30)
    record = stream.read(place)
    broken = record.samples[0].id
    samples = []
    for sample in record.samples:
        values = sample.values.copy()
        if sample.id == broken and sample.step >= 20:
            values[0, 0] = math.nan
        samples.append(stream.Sample(**{**vars(sample), "values": values}))
    plan = Plan.prepare(bundle.read(place).manifest, Record(tuple(samples), spacing=record.spacing))
    rows = [row for row in plan.run().table.to_pylist() if row["factor"] == 0]
    assert [row["decision"] for row in rows][-3:] == ["failure"] * 3 and rows[-1]["error"] is None
    assert any(f"factor {broken} is not finite from step 20" in note for note in plan.run().notes)
    assert math.isfinite(plan.run().error_left)


def test_a_thinned_stream_answers_for_longer_periods(tmp_path: Path) -> None:
    place = train(tmp_path / "run", "foam", steps=40)
    record = stream.read(place)
    spacing = stream.Spacing(5, 2, 10)
    thinned = Record(tuple(s for s in record.samples if spacing.keeps(s.step)), spacing=spacing)
    plan = Plan.prepare(bundle.read(place).manifest, thinned)
    with pytest.raises(FieldError, match="a multiple of 10"):
        plan.run()
    replay = plan.run(plan.own.changed({"period": 20}))
    assert replay.open_loop and set(replay.values("step").tolist()) == {10, 20, 40}


def test_preparing_can_be_stopped(tmp_path: Path) -> None:
    place = train(tmp_path / "run", "foam", steps=20)

    class Stopped(Exception):
        pass

    shares = []

    def progress(share: float, words: str) -> None:
        shares.append(share)
        if share > 0.5:
            raise Stopped(words)

    with pytest.raises(Stopped, match="decomposing"):
        prepare_path(place, progress)
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("optimizer", "edits"),
    [
        ("foam", ("20:tau=0.9", "30:epsilon=1e-5", "30:epsilon_max=2e-5", "40:tau=0.1")),
        ("foam", ("21:period=10", "41:period=5")),
        ("foam-fixed-damping", ("20:epsilon=1e-4", "33:tau=0.6")),
        ("dr-shampoo", ("20:tau=0.5", "40:tau=0.05")),
        ("shampoo", ("21:period=10", "30:epsilon=1e-4")),
    ],
)
def test_the_own_setting_with_its_edits_comes_back_bit_for_bit(
    tmp_path: Path, optimizer: str, edits: tuple[str, ...]
) -> None:
    torch.set_num_threads(1)
    given = [part for text in edits for part in ("--edit", text)]
    sets = [part for text in ("period=5", "start=10", "width=24", *SETTINGS[optimizer]) for part in ("--set", text)]
    command = ["train", "--optimizer", optimizer, "--steps", "60", "--stream", "--quiet", *sets, *given]
    assert cli.main([*command, "--out", str(tmp_path / "run")]) == 0
    plan, trace = prepare_path(tmp_path / "run"), bundle.read(tmp_path / "run")
    replay = plan.run()
    assert plan.own.edits and replay.exact
    assert replay.differs(trace.checks) == 0 and replay.checks == len(trace.checks)
    kind = plan.own.policy.measures
    order = np.lexsort((trace.values("checks", "factor"), trace.values("checks", "step")))
    if kind is not None:
        recorded = trace.checks.take(order)
        assert replay.table["measure"].to_pylist() == [
            None if row["decision"] == "first" else row[kind] for row in recorded.to_pylist()
        ]
    assert Setting.from_json(plan.own.to_json()) == plan.own
    # What is replaced is replaced throughout, the edits of it are gone.
    if "tau" in plan.own.values:
        other = plan.own.changed({"tau": 0.2})
        assert all(name != "tau" for _, name, _ in other.edits) and plan.run(other).open_loop


def watched(place: Path, policy: Policy, *, every: int = 5, change: float | None = None, steps: int = 40) -> Path:
    """A loop of somebody's own, seen by a Writer; with ``change``, tau is another from half its steps on."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    optimizer = Shampoo(model.parameters(), lr=0.01, refresh=policy)
    with Writer(place, factors=["*"], stream=Stream(factors=("*",), every=every)) as writer:
        writer.observe(optimizer, model=model)
        for step in range(1, steps + 1):
            if change is not None and step == steps // 2:
                optimizer.param_groups[0]["refresh"] = replace(policy, tau=change)
            inputs = torch.randn(16, 12)
            loss = (model(inputs) - inputs[:, :4]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            writer.log(step, loss=loss)
    return place


@pytest.mark.parametrize(
    "policy",
    [
        Foam(period=5, start=10, tau=0.1, epsilon=1e-5, epsilon_max=1e-4),
        DiagonalizationResidual(period=5, tau=0.1, epsilon=1e-5),
        EveryCheck(period=5, epsilon=1e-5),
        EveryCheck(period=10, epsilon=1e-5, stagger=True),
    ],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.parametrize("every", [1, 5])
def test_what_a_writer_saw_is_replayed_exactly(tmp_path: Path, policy: Policy, every: int) -> None:
    torch.set_num_threads(1)
    if getattr(policy, "stagger", False):
        every = 1  # turns fall on every step
    place = watched(tmp_path / "run", policy, every=every)
    plan = prepare_path(place)
    assert plan.recording.grid.own == plan.own and plan.own.policy == policy
    replay = plan.run()
    checks = bundle.read(place).checks
    assert replay.exact and replay.checks == len(checks) and replay.differs(checks) == 0
    assert not any("otherwise" in note for note in replay.notes)


def test_a_loop_that_changed_its_setting_is_replayed_in_open_loop(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    policy = Foam(period=5, tau=0.9, epsilon=1e-5, epsilon_max=1e-3)
    plan = prepare_path(watched(tmp_path / "run", policy, change=0.05))
    assert plan.own.policy == policy and plan.recording.grid.own is None
    replay = plan.run()
    assert replay.open_loop
    assert any("the loop changed its setting, or was resumed" in note for note in replay.notes)


def test_what_a_writer_noted_is_text_that_nothing_runs() -> None:
    for told in (
        "Foam(period=__import__('os').getpid())",
        "open('x')",
        "Foam(10)",
        "Foam(taw=1)",
        "",
        None,
        "Foam(" * 90,
    ):
        config = {"writer": {}, "optimizer_settings": {"refresh": told}}
        assert noted_setting(Manifest(run_id="x", name="x", config=config)) is None


def test_totals_of_a_setting_are_remembered(foam: tuple[Plan, Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = foam
    settings = tau_and_cap(plan.own, [0.15, 0.45], [1e-5, 1e-4])
    first = plan.summaries(settings, error_every=5)
    walked: list[int] = []
    walk = plan._walker.walk
    monkeypatch.setattr(plan._walker, "walk", lambda asked: walked.append(len(asked)) or walk(asked))
    other = plan.own.changed({"tau": 0.77})
    assert plan.summaries([*settings, other, other], error_every=5)[:4] == first
    assert walked == [1], "only what was not known is walked, and once"
    assert plan.summaries(settings, error_every=1) != first, "errors at other checks are other numbers"


def test_small_errors_survive_the_difference_of_large_sums() -> None:
    """|| M o (b_j - a_i) || by its three sums against the difference itself, in float64."""
    generator = np.random.default_rng(0)
    bases = [np.linalg.qr(np.eye(40) + 1e-5 * generator.standard_normal((40, 40)))[0] for _ in range(2)]
    spectrum = 10.0 ** np.linspace(-6, 0, 40)
    overlap = ((bases[0].T @ bases[1]) ** 2).astype(np.float32)
    used, fresh = ((spectrum * scale + 1e-6) ** -0.5 for scale in (1.0, 1 + 1e-4))
    pairs = SimpleNamespace(overlaps=lambda *_: overlap[None].astype(float))
    stack = SimpleNamespace(release=lambda _: None)
    zero = np.zeros(1, int)
    ideal = np.stack([fresh, used])[None]
    (found,) = ErrorMeter(stack, None, pairs)._squares(zero, zero, zero + 1, used[None], ideal)
    for value, other in zip(found, (fresh, used), strict=True):
        expected = (overlap.astype(float) * (other[None, :] - used[:, None]) ** 2).sum()
        assert math.sqrt(value) == pytest.approx(math.sqrt(expected), abs=1e-7 * np.linalg.norm(fresh))
