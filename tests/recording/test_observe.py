"""What the writer reads from optimizers: checks, snapshots, streams, and what it does about those it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim import linalg
from foam_viz.optim.refresh import EveryCheck, Foam
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP
from foam_viz.recording import stream
from foam_viz.trace import Stream, Trace, Writer
from foam_viz.trace.disk import bundle
from foam_viz.trace.eigenbasis import turned
from tests.recording import optimizers as layouts
from tests.recording.libraries import library
from tests.rows import factor_rows

torch.set_num_threads(1)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False), torch.nn.Tanh(), torch.nn.Linear(4, 6, bias=False))


def train(
    path: Path, make, steps: int, *, after=None, explicit: bool = False, dtype: torch.dtype = torch.float32, **options
) -> Trace | None:
    """Trains an auto-encoder of noise, watched; ``after(step, optimizer)`` looks on."""
    net = model().to(dtype)
    optimizer = make(net.parameters())
    generator = torch.Generator().manual_seed(1)
    with Writer(path, **options) as writer:
        if not explicit:
            writer.observe(optimizer, model=net)
        for step in range(1, steps + 1):
            batch = torch.randn(8, 6, generator=generator).to(dtype)
            loss = (net(batch) - batch).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if explicit:
                writer.observe(optimizer, step, model=net)
            writer.log(step, loss=loss)
            if after:
                after(step, optimizer)
    return bundle.read(path) if (path / "manifest.json").is_file() else None


def rows(trace: Trace, factor: int) -> list[dict]:
    return factor_rows(trace, "checks", factor).to_pylist()


@pytest.mark.parametrize("explicit", [False, True])
def test_own_checks_are_recorded_as_the_optimizer_counts_them(tmp_path: Path, explicit: bool):
    seen = []

    def look(step, optimizer):
        if step % 3 == 0:
            seen.append([(f.reason, f.epsilon, f.proxy, f.last_decomposition_step) for f in optimizer.factors()])

    policy = Foam(period=3, tau=0.3, epsilon=1e-6, epsilon_max=1e-3)
    trace = train(tmp_path / "run", lambda p: Shampoo(p, lr=1e-2, refresh=policy), 30, after=look, explicit=explicit)
    assert [info.id for info in trace.manifest.factors] == ["0.block_0.0", "0.block_0.1", "1.block_0.0", "1.block_0.1"]
    assert [info.parameter for info in trace.manifest.factors] == ["0.weight"] * 2 + ["2.weight"] * 2
    assert [info.size for info in trace.manifest.factors] == [4, 6, 6, 4]
    for factor in range(4):
        mine = rows(trace, factor)
        assert [row["step"] for row in mine] == list(range(3, 31, 3))
        for row, check in zip(mine, seen, strict=True):
            reason, epsilon, proxy, last = check[factor]
            assert (row["decision"], row["epsilon"], row["last_decomposition_step"]) == (reason, epsilon, last)
            assert row["proxy"] is None if np.isnan(proxy) else row["proxy"] == proxy
            assert row["checks"] == row["decompositions"] + row["reuses"] == 1
            assert row["interval_start"] is None
        assert [row["epsilon_before"] for row in mine[1:]] == [row["epsilon"] for row in mine[:-1]]
    assert {row["decision"] for row in trace.checks.to_pylist()} >= {"first", "reuse"}
    total = sum(trace.checks["decompositions"].to_pylist())
    assert trace.steps["decompositions"].to_pylist()[-1] == total
    assert trace.steps["learning_rate"].to_pylist() == [1e-2] * 30
    assert trace.manifest.optimizer == "Shampoo"


def test_checks_between_two_looks_become_an_interval(tmp_path: Path):
    net = model()
    optimizer = Shampoo(net.parameters(), lr=1e-2, refresh=EveryCheck(period=2, epsilon=1e-6))
    with Writer(tmp_path / "run") as writer:
        for step in range(1, 13):
            net(torch.randn(3, 6)).square().mean().backward()
            optimizer.step()
            if step % 6 == 0:
                writer.observe(optimizer, step)
    first, second = rows(bundle.read(tmp_path / "run"), 0)
    assert (first["interval_start"], first["step"], first["checks"], first["decompositions"]) == (1, 6, 3, 3)
    assert (second["interval_start"], second["step"], second["checks"], second["decision"]) == (7, 12, 3, None)


def test_an_optimizer_that_was_stepped_before_is_counted_from_then_on(tmp_path: Path):
    net = model()
    optimizer = Shampoo(net.parameters(), lr=1e-2, refresh=EveryCheck(period=2, epsilon=1e-6))

    def step():
        net(torch.randn(3, 6)).square().mean().backward()
        optimizer.step()

    for _ in range(10):
        step()
    with Writer(tmp_path / "run", resume_step=10) as writer:
        writer.observe(optimizer)
        for _ in range(4):
            step()
    assert [(row["step"], row["decision"]) for row in rows(bundle.read(tmp_path / "run"), 1)] == [
        (12, "cadence"),
        (14, "cadence"),
    ]


def test_snapshots_show_the_basis_before_the_decision(tmp_path: Path):
    """Against the library's own measures, at a check that decomposes: what was in force before it is what is seen."""
    kept, now = {}, {}

    def look(step, optimizer):
        for factor_stack in optimizer.factor_stacks():
            for row, position in enumerate(factor_stack.positions):
                if step == 9:
                    kept[position] = (factor_stack.basis[row].clone(), factor_stack.eigenvalues[row].clone())
                if step == 10:
                    now[position] = factor_stack.current([row])[0].clone()

    # No growth of the damping is allowed, so nearly every check decomposes.
    policy = Foam(period=5, tau=0.01, epsilon=1e-4, epsilon_max=1e-4)
    trace = train(tmp_path / "run", lambda p: Shampoo(p, lr=1e-2, refresh=policy), 10, after=look, snapshot_every=10)
    assert {row["decision"] for row in trace.checks.to_pylist()} == {"first", "cap"}
    assert [row["step"] for row in factor_rows(trace, "snapshots", 0).to_pylist()] == [5, 10]
    for factor in range(4):
        row = factor_rows(trace, "snapshots", factor).to_pylist()[1]
        basis, values = (tensor.double() for tensor in kept[factor])
        fresh_values, fresh = torch.linalg.eigh(now[factor].double())
        error = linalg.operator_error(basis, values, fresh, fresh_values.clamp(min=0), 1e-4, 2)
        assert row["true_error"] == pytest.approx(float(error), rel=1e-4)
        assert row["true_error"] > 0.01
        overlap = linalg.overlap(basis, values, fresh, fresh_values) * 255
        stored = np.frombuffer(row["overlap"], np.uint8).reshape(row["overlap_size"], -1)
        assert np.abs(stored - overlap.numpy()).max() <= 0.51
        falling = fresh_values.flip(0).numpy()
        expected = turned(linalg.mixing(basis, values, fresh, fresh_values).numpy(), falling)
        assert row["turn"] == pytest.approx(expected.share, rel=1e-3) and row["turn"] > 0
        assert row["top_angles"] == pytest.approx(expected.angles.tolist(), abs=1e-4)
        assert row["eigenvalues"] == pytest.approx(fresh_values.flip(0).tolist(), rel=1e-4, abs=1e-8)
        assert row["basis_eigenvalues"] == pytest.approx(values.sort(descending=True).values.tolist(), rel=1e-5)
        assert row["last_decomposition_step"] == 5
        check = [r for r in rows(trace, factor) if r["step"] == 10][0]
        residual = linalg.diagonalization_residual(basis.mT @ now[factor].double() @ basis)
        assert check["residual"] == pytest.approx(float(residual), rel=1e-4)


def test_an_inverse_root_alone_tells_the_same(tmp_path: Path):
    """A factor stack whose policy measures nothing may keep no basis; one that keeps all goes the same way."""
    snapshots = []
    for name, policy in (
        ("alone", EveryCheck(period=5, epsilon=1e-4)),
        ("whole", Foam(period=5, tau=0.01, epsilon=1e-4, epsilon_max=1e-4)),
    ):
        trace = train(
            tmp_path / name, lambda p, chosen=policy: Shampoo(p, lr=1e-2, refresh=chosen), 10, snapshot_every=10
        )
        snapshots.append([row for row in trace.snapshots.to_pylist() if row["step"] == 10])
    for alone, whole in zip(*snapshots, strict=True):
        assert alone["true_error"] == pytest.approx(whole["true_error"], rel=1e-3)
        assert alone["basis_eigenvalues"] == pytest.approx(whole["basis_eigenvalues"], rel=1e-4, abs=1e-8)
        pictures = [np.frombuffer(row["overlap"], np.uint8).astype(int) for row in (alone, whole)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 3


def test_large_overlaps_are_pooled():
    from foam_viz.recording.observe.matrices import snapshot
    from foam_viz.recording.observe.views import Matrices

    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(100, 100)))[0]
    current = np.diag(np.arange(100, 0, -1.0))
    row, _ = snapshot(current, Matrices(current, basis, np.arange(100, 0, -1.0), None, 0.1, 2))
    stored = np.frombuffer(row["overlap"], np.uint8).reshape(64, 64)
    groups = [[i for i in range(100) if i * 64 // 100 == group] for group in range(64)]
    for a, rows in enumerate(groups):
        for b, columns in enumerate(groups):
            share = sum(basis[j, i] ** 2 for i in rows for j in columns) / len(rows)
            assert abs(stored[a, b] - 255 * share) <= 0.51


def test_factors_are_chosen_by_pattern(tmp_path: Path):
    policy = EveryCheck(period=2, epsilon=1e-6)
    trace = train(
        tmp_path / "run", lambda p: Shampoo(p, lr=1e-2, refresh=policy), 8, snapshot_every=4, factors=["*.0", "2.*"]
    )
    assert set(trace.snapshots["factor"].to_pylist()) == {0, 2, 3}


def test_own_soap_has_no_damping(tmp_path: Path):
    trace = train(tmp_path / "run", lambda p: SOAP(p, lr=1e-2, period=3), 12, snapshot_every=6)
    mine = rows(trace, 0)
    assert [row["decision"] for row in mine][0] == "first"
    assert trace.checks["epsilon"].null_count == len(trace.checks)
    assert trace.snapshots["true_error"].null_count == len(trace.snapshots) > 0
    assert trace.snapshots["overlap"].null_count == 0


def test_the_public_soaps_layout(tmp_path: Path):
    def every_five(path):
        return train(path, lambda p: layouts.PublicSoap(p, precondition_frequency=5, largest=5), 12, snapshot_every=6)

    trace = every_five(tmp_path / "run")
    # The dimension of 6 rows is too large for a factor: its place in GG is empty.
    assert [(info.id, info.order) for info in trace.manifest.factors] == [("0.block_0.0", 2), ("1.block_0.1", 2)]
    assert [row["step"] for row in rows(trace, 0)] == [1, 6, 11]
    assert [row["step"] for row in factor_rows(trace, "snapshots", 0).to_pylist()] == [1, 6, 12]


def test_renewals_between_two_looks_follow_from_the_frequency(tmp_path: Path):
    net = model()
    optimizer = layouts.PublicSoap(net.parameters(), precondition_frequency=2)
    with Writer(tmp_path / "run") as writer:
        for step in range(1, 15):
            net(torch.randn(3, 6)).square().mean().backward()
            optimizer.step()
            if step in (1, 7, 13):
                writer.observe(optimizer, step)
    mine = rows(bundle.read(tmp_path / "run"), 0)
    assert [(row["interval_start"], row["step"], row["decompositions"]) for row in mine] == [
        (None, 1, 1),
        (2, 7, 3),
        (8, 13, 3),
    ]  # fmt: skip


def test_the_installed_public_soap(tmp_path: Path):
    make = library("pytorch_optimizer").SOAP
    trace = train(tmp_path / "run", lambda p: make(p, lr=1e-3, precondition_frequency=5), 12, snapshot_every=6)
    mine = rows(trace, 0)
    assert [row["step"] for row in mine] == [1, 6, 11]
    assert [row["decision"] for row in mine] == ["first", "cadence", "cadence"]
    assert [info.size for info in trace.manifest.factors] == [4, 6, 6, 4]
    picture = factor_rows(trace, "snapshots", 1).to_pylist()
    assert [row["step"] for row in picture] == [1, 6, 12]
    overlap = np.frombuffer(picture[1]["overlap"], np.uint8).reshape(6, 6) / 255
    assert np.allclose(overlap.sum(0), 1, atol=0.02)
    assert picture[1]["last_decomposition_step"] == 1
    assert mine[1]["residual"] > 0


def test_distributed_shampoo(tmp_path: Path):
    kept, now = {}, {}

    def look(step, optimizer):
        p = optimizer.param_groups[0]["params"][0]
        factors = optimizer.state[p]["block_0"]["shampoo"]
        if step == 9:
            kept["inverse"] = factors.inv_factor_matrices[0].clone()
        if step == 10:
            now["current"] = factors.factor_matrices[0] / (1 - 0.9**10)

    trace = train(
        tmp_path / "run",
        lambda p: layouts.DistributedShampoo(p, precondition_frequency=5),
        12,
        after=look,
        snapshot_every=10,
    )
    assert [info.id for info in trace.manifest.factors] == ["0.block_0.0", "0.block_0.1", "1.block_0.0", "1.block_0.1"]
    assert [(row["step"], row["decision"]) for row in rows(trace, 0)] == [(5, "first"), (10, "cadence")]
    assert rows(trace, 0)[0]["epsilon"] == 1e-4
    row = factor_rows(trace, "snapshots", 0).to_pylist()[1]
    fresh = layouts.inverse_root(now["current"].double(), 1e-4, 4)
    error = (fresh - kept["inverse"].double()).norm() / kept["inverse"].double().norm()
    assert (row["step"], row["last_decomposition_step"]) == (10, 5)
    assert row["true_error"] == pytest.approx(float(error), rel=1e-3)
    first = factor_rows(trace, "snapshots", 0).to_pylist()[0]
    overlap = np.frombuffer(first["overlap"], np.uint8).reshape(4, 4) / 255
    assert np.allclose(overlap, np.eye(4), atol=0.05)


def test_distributed_shampoo_with_bases(tmp_path: Path):
    trace = train(
        tmp_path / "run",
        lambda p: layouts.EigendecomposedShampoo(p, precondition_frequency=4),
        8,
        snapshot_every=8,
    )
    assert [row["step"] for row in rows(trace, 3)] == [4, 8]
    row = factor_rows(trace, "snapshots", 3).to_pylist()[1]
    assert row["basis_eigenvalues"] is not None
    assert row["true_error"] > 0


@pytest.mark.parametrize("exponent", [None, 0.5, 0.2])
def test_distributed_shampoo_with_packed_triangles(tmp_path: Path, exponent: float | None):
    kept, now = {}, {}

    def look(step, optimizer):
        p = optimizer.param_groups[0]["params"][1]
        factors = optimizer.state[p]["block_0"]["shampoo"]
        if step == 9:
            kept["inverse"] = layouts.unpacked(factors.inv_factor_matrices[0].clone())
        if step == 10:
            now["current"] = layouts.unpacked(factors.factor_matrices[0]) / (1 - 0.9**10)

    trace = train(
        tmp_path / "run", lambda p: layouts.PackedShampoo(p, precondition_frequency=5, exponent=exponent), 12,
        after=look, snapshot_every=10, factors=["*"],
    )  # fmt: skip
    assert [info.size for info in trace.manifest.factors] == [4, 6, 6, 4]
    assert [(row["step"], row["decision"]) for row in rows(trace, 2)] == [(5, "first"), (10, "cadence")]
    row = factor_rows(trace, "snapshots", 2).to_pylist()[1]
    fresh = layouts.inverse_root(now["current"].double(), 1e-4, 1 / (exponent or 0.25))
    error = (fresh - kept["inverse"].double()).norm() / kept["inverse"].double().norm()
    assert row["true_error"] == pytest.approx(float(error), rel=1e-3)
    spectrum = torch.linalg.eigvalsh(now["current"].double()).flip(0).numpy()
    assert np.allclose(row["eigenvalues"], spectrum, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [layouts.FoamArtifact, layouts.DistributedShampoo, layouts.EigendecomposedShampoo])
def test_a_step_kept_under_the_first_parameter_corrects_every_factor(tmp_path: Path, make):
    now = {}

    def look(step, optimizer):
        p = optimizer.param_groups[0]["params"][1]
        now[step] = optimizer.state[p]["block_0"]["shampoo"].factor_matrices[0] / (1 - 0.9**step)

    chosen = Stream(factors=("1.block_0.0",), every=10)
    trace = train(
        tmp_path / "run", lambda p: make(p, precondition_frequency=5, step_with_first=True), 10, after=look,
        snapshot_every=10, factors=["*"], stream=chosen,
    )  # fmt: skip
    row = factor_rows(trace, "snapshots", 2).to_pylist()[-1]
    spectrum = torch.linalg.eigvalsh(now[10].double()).flip(0).numpy()
    assert np.allclose(row["eigenvalues"], spectrum, rtol=1e-6, atol=1e-9)
    sample = stream.read(tmp_path / "run").samples[0]
    assert (sample.beta, sample.steps) == (0.9, 10)
    assert np.allclose(sample.current(), now[10], rtol=1e-6)


def test_tensors_that_each_process_holds_whole_are_read(tmp_path: Path):
    """Under DDP, Distributed Shampoo keeps its blocks as DTensors, replicated on the process that computes them."""
    import torch.distributed as distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))

        class Replicated(layouts.PackedShampoo):
            """Computes on the local tensors and shows DTensors of the same memory."""

            def __init__(self, params) -> None:
                super().__init__(params, precondition_frequency=5)
                for state in self.state.values():
                    factors = state["block_0"]["shampoo"]
                    for name in ("factor_matrices", "inv_factor_matrices"):
                        wrapped = (DTensor.from_local(t, mesh, [Replicate()]) for t in getattr(factors, name))
                        setattr(factors, name, tuple(wrapped))

            def step(self, closure=None):
                shown = [state["block_0"]["shampoo"] for state in self.state.values()]
                kept = [(f, f.factor_matrices, f.inv_factor_matrices) for f in shown]
                for factors, statistics, inverses in kept:
                    factors.factor_matrices = tuple(t.to_local() for t in statistics)
                    factors.inv_factor_matrices = tuple(t.to_local() for t in inverses)
                super().step()
                for factors, statistics, inverses in kept:
                    factors.factor_matrices, factors.inv_factor_matrices = statistics, inverses

        train(tmp_path / "run", Replicated, 12, snapshot_every=10, factors=["*"])
        trace = bundle.read(next((tmp_path / "run").rglob("manifest.json")).parent)
        assert [info.size for info in trace.manifest.factors] == [4, 6, 6, 4]
        assert [(row["step"], row["decision"]) for row in rows(trace, 2)] == [(5, "first"), (10, "cadence")]
        assert factor_rows(trace, "snapshots", 2).to_pylist()[-1]["true_error"] > 1e-3
        assert not trace.rows("events")
    finally:
        distributed.destroy_process_group()


def test_the_foam_artifact(tmp_path: Path):
    trace = train(tmp_path / "run", lambda p: layouts.FoamArtifact(p, precondition_frequency=5), 120, snapshot_every=60)
    mine = rows(trace, 2)
    spans = [(row["interval_start"], row["step"]) for row in mine]
    assert spans == [(1, 50), (51, 100), (101, 120)]
    assert [row["checks"] for row in mine] == [10, 10, 4]
    assert [row["decompositions"] for row in mine] == [4, 3, 1]
    assert [row["reuses"] for row in mine] == [6, 7, 3]
    assert [row["cap_refreshes"] for row in mine] == [3, 3, 1]
    assert [row["last_decomposition_step"] for row in mine] == [50, 95, 110]
    assert [row["epsilon"] for row in mine] == [1e-4, 2e-4, 4e-4]
    assert mine[1]["proxy"] == 0.5
    assert mine[1]["relative_condition"] is None
    assert all(row["decision"] is None for row in mine)
    snapshot = factor_rows(trace, "snapshots", 2).to_pylist()[-1]
    assert snapshot["step"] == 120
    assert snapshot["epsilon"] == 2e-4  # before the check of this step doubled it
    assert snapshot["true_error"] > 0


def test_a_step_that_calls_its_parents_step_counts_once(tmp_path: Path):
    class Nested(layouts.DistributedShampoo):
        failures = 0

        def step(self, closure=None):
            if self.state[self.param_groups[0]["params"][0]]["step"] == 3 and not self.failures:
                self.failures = 1
                raise ArithmeticError
            super().step()

    torch.manual_seed(0)
    # Torch hooks the step of each class that was ever made an instance of.
    layouts.DistributedShampoo([torch.zeros(2, 2, requires_grad=True)], precondition_frequency=5)
    net = model()
    optimizer = Nested(net.parameters(), precondition_frequency=5)
    with Writer(tmp_path / "run") as writer:
        writer.observe(optimizer, model=net)
        step = 0
        while step < 10:
            net(torch.randn(8, 6)).square().mean().backward()
            try:
                optimizer.step()
                step += 1
            except ArithmeticError:
                pass
            writer.log(step, loss=1.0)
    assert [(row["step"], row["decision"]) for row in rows(bundle.read(tmp_path / "run"), 0)] == [
        (5, "first"), (10, "cadence")
    ]  # fmt: skip


def test_an_optimizer_without_factors_is_named_once(tmp_path: Path, caplog):
    trace = train(tmp_path / "run", lambda p: torch.optim.AdamW(p, lr=1e-3), 20)
    events = trace.events.to_pylist()
    assert [event["kind"] for event in events] == ["no-factors"]
    assert "AdamW" in events[0]["message"]
    assert len([record for record in caplog.records if "AdamW" in record.message]) == 1
    assert trace.steps["learning_rate"].to_pylist() == [1e-3] * 20
    assert trace.manifest.factors == ()


class Hostile(torch.optim.SGD):
    """Looks like this project's and raises when it is read."""

    def factors(self):
        raise RuntimeError("not now")

    def factor_stacks(self):
        return ()


def test_nothing_is_raised_into_the_training_loop(tmp_path: Path, caplog):
    trace = train(tmp_path / "run", lambda p: Hostile(p, lr=1e-3), 5)
    assert len(trace.steps) == 5
    assert any("RuntimeError: not now" in event["message"] for event in trace.events.to_pylist())
    with Writer(tmp_path / "other") as writer:
        writer.observe(object())
        writer.observe(None, 3)
    assert "cannot be hooked" in caplog.text
    assert len(bundle.read(tmp_path / "other").events) == 2


def test_a_factor_that_is_not_finite_is_an_event(tmp_path: Path):
    net = model()
    optimizer = Shampoo(net.parameters(), lr=1e-2, refresh=EveryCheck(period=2, epsilon=1e-6))
    with Writer(tmp_path / "run", snapshot_every=4) as writer:
        writer.observe(optimizer)
        for step in range(1, 5):
            net(torch.full((3, 6), float("nan") if step == 4 else 1.0)).square().mean().backward()
            optimizer.step()
    events = bundle.read(tmp_path / "run").events.to_pylist()
    assert {event["kind"] for event in events} == {"snapshot-failed"}
    assert events[0]["factor"] == 0


class Spread(torch.Tensor):
    """A matrix spread over processes, as far as it can be told: it has a local part."""

    def to_local(self):
        raise AssertionError("gathered")


def test_a_matrix_spread_over_processes_is_left_alone(tmp_path: Path):
    def make(parameters):
        optimizer = layouts.DistributedShampoo(parameters, precondition_frequency=2)
        for state in optimizer.state.values():
            factors = state["block_0"]["shampoo"]
            factors.factor_matrices = tuple(matrix.as_subclass(Spread) for matrix in factors.factor_matrices)
        return optimizer

    trace = train(tmp_path / "run", make, 8, snapshot_every=4)
    assert [row["step"] for row in rows(trace, 0)] == [2, 4, 6, 8]
    assert len(trace.snapshots) == 0
    assert {event["kind"] for event in trace.events.to_pylist()} == {"snapshot-failed"}
    assert "spread over several processes" in trace.events.to_pylist()[0]["message"]


def test_two_optimizers_number_their_parameters_on(tmp_path: Path):
    net = model()
    first, second = (
        Shampoo(layer.parameters(), lr=1e-2, refresh=EveryCheck(period=2, epsilon=1e-6)) for layer in (net[0], net[2])
    )
    with Writer(tmp_path / "run") as writer:
        writer.observe(first, model=net)
        writer.observe(second, model=net)
        for _ in range(4):
            net(torch.randn(3, 6)).square().mean().backward()
            first.step()
            second.step()
    trace = bundle.read(tmp_path / "run")
    assert [(i.id, i.parameter) for i in trace.manifest.factors] == [
        ("0.block_0.0", "0.weight"), ("0.block_0.1", "0.weight"),
        ("1.block_0.0", "2.weight"), ("1.block_0.1", "2.weight"),
    ]  # fmt: skip
    assert [len(rows(trace, factor)) for factor in range(4)] == [2] * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_stream_keeps_factors_and_gradients_whole(tmp_path: Path, dtype: torch.dtype):
    kept, currents = {}, {}

    def look(step, optimizer):
        if step % 4 == 0:
            factor_stack = next(
                factor_stack for factor_stack in optimizer.factor_stacks() if 1 in factor_stack.positions
            )
            row = factor_stack.positions.index(1)
            currents[step] = factor_stack.current([row])[0].clone()
            kept[step] = factor_stack.statistics[row].clone(), optimizer.param_groups[0]["params"][0].grad.clone()

    chosen = Stream(factors=("0.block_0.1",), every=4)
    policy = EveryCheck(period=4, epsilon=1e-6)
    train(tmp_path / "run", lambda p: Shampoo(p, lr=1e-2, refresh=policy), 12, after=look, stream=chosen, dtype=dtype)
    samples = stream.read(tmp_path / "run").samples
    assert [(s.step, s.kind, s.id) for s in samples] == [
        (step, *what) for step in (4, 8, 12) for what in (("factor", "0.block_0.1"), ("gradient", "0.weight"))
    ]
    for sample in samples:
        expected = kept[sample.step][sample.kind == "gradient"].numpy()
        assert np.array_equal(np.tril(sample.values), np.tril(expected)) or sample.kind == "gradient"
        assert np.allclose(sample.values, expected, rtol=1e-6, atol=0)
        assert sample.values.dtype == np.dtype(str(dtype).removeprefix("torch."))
        if sample.kind == "factor":
            # L, t and beta2, from which A comes bit for bit.
            assert (sample.beta, sample.steps) == (0.99, sample.step)
            assert np.array_equal(np.tril(sample.current()), np.tril(currents[sample.step].numpy()))
    assert (samples[0].root, samples[0].epsilon) == (2, 1e-6)


@pytest.mark.parametrize("rule", ["shift", "floor"])
def test_the_true_error_follows_the_rule_for_small_eigenvalues(tmp_path: Path, rule: str):
    """The recorder of the engine and the writer measure the same, in float64, with the optimizer's own floor."""
    from foam_viz.device import ThreadClock
    from foam_viz.recording.recorder import Recorder, Schedule

    recorder = Recorder(Schedule(snapshot_period=1), ThreadClock())
    seen = []

    def look(step, optimizer):
        recorder.after_step(step, optimizer)
        seen.append(optimizer.factor_stacks()[0].floor)

    # No check at step 7, so that both look at the same basis and the same factor.
    policy = Foam(period=4, start=4, epsilon=1e-9, epsilon_max=1e-9)
    trace = train(
        tmp_path / "run",
        lambda p: Shampoo(p, lr=1e-2, eigenvalues=rule, grafting=None, refresh=policy),
        7,
        after=look,
        snapshot_every=7,
    )
    assert set(seen) == ({None} if rule == "shift" else {2.0**-23})
    written = {row["factor"]: row for row in trace.snapshots.to_pylist() if row["step"] == 7}
    live = {row["factor"]: row for row in recorder.drain()["snapshots"].to_pylist() if row["step"] == 7}
    assert live
    for factor, row in live.items():
        other = written[factor]
        if other["true_error"] is not None:
            assert row["true_error"] == pytest.approx(other["true_error"], rel=1e-3)
        np.testing.assert_allclose(row["eigenvalues"], other["eigenvalues"], rtol=1e-4, atol=0)
        if rule == "floor":
            assert min(row["eigenvalues"]) >= 0.99 * 2.0**-23 * max(row["eigenvalues"])


def test_from_a_stream_every_proxy_comes_out_bit_for_bit(tmp_path: Path):
    """What replay stands on: the statistics, not the corrected factor, are what the optimizer rotates."""
    policy = Foam(period=2, tau=0.5, epsilon=1e-6, epsilon_max=1e-4)
    trace = train(
        tmp_path / "run", lambda p: Shampoo(p, lr=1e-2, refresh=policy), 60, stream=Stream(factors=("*",), every=2)
    )
    samples = [s for s in stream.read(tmp_path / "run").samples if s.kind == "factor"]
    compared = decompositions = 0
    for number, info in enumerate(trace.manifest.factors):
        statistics = {s.step: s for s in samples if s.id == info.id}
        basis = values = None
        for row in rows(trace, number):
            sample = statistics[row["step"]]
            matrix, correction = torch.from_numpy(sample.values), 1 - sample.beta**sample.steps
            if basis is not None:
                rotated = linalg.rotate(basis, matrix.unsqueeze(0)).div_(correction)
                damping = torch.tensor([row["epsilon_before"]], dtype=torch.float32)
                proxy, _, _ = linalg.proxy(rotated, values, damping, 2)
                assert float(proxy) == row["proxy"]
                compared += 1
            if row["decision"] != "reuse":
                values, basis, _ = linalg.eigh_robust((matrix / correction).unsqueeze(0), [1e-6])
                decompositions += 1
    assert compared > 100 and decompositions > 8
