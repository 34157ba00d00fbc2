"""KL-Shampoo, KL-SOAP, SPlus and equilibrated Muon against slow references, and what surrounds a step."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch

from foam_viz.optim.catalogue import find
from foam_viz.optim.fields import FieldError
from foam_viz.optim.grouping import hidden_matrices
from foam_viz.optim.kl import KLSOAP, KLShampoo
from foam_viz.optim.muon import MuonWithAdamW, equilibrated, orthogonalize
from foam_viz.optim.refresh import DiagonalizationResidual, EveryCheck, Foam
from foam_viz.optim.splus import SPlus
from tests.optim.neighbour_reference import SlowKL, SlowSPlus, slow_equilibrated
from tests.optim.test_shampoo import gradients, parameter, train

KINDS = {"kl-shampoo": KLShampoo, "kl-soap": KLSOAP}


# As many columns as rows: no factor of the first gradient has a null space in which a basis could be chosen.
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "size, settings",
    [
        (2, {}), (7, {"period": 1}), (4, {"period": 5}), (4, {"betas": (0.0, 0.5)}), (4, {"weight_decay": 0.3}),
        (5, {"eps": 0.1}), (260, {}),
    ],
)  # fmt: skip
def test_kl_against_the_reference(name: str, size: int, settings: dict[str, Any]) -> None:
    shape = (size, size)
    weight, stream = parameter(shape), gradients(shape, 9)
    slow = SlowKL(weight.detach().numpy(), adaptive=name == "kl-soap", **settings)
    rest = {key: value for key, value in settings.items() if key != "period"}
    refresh = EveryCheck(period=settings.get("period", 2))
    optimizer = KINDS[name]([weight], lr=0.1, refresh=refresh, **rest)
    train(optimizer, [weight], [stream], 9)
    for gradient in stream:
        slow.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, rtol=0, atol=1e-9 * size)
    factor_stack = optimizer.factor_stacks()[0]
    np.testing.assert_allclose(factor_stack.eigenvalues.numpy(), [slow.left, slow.right], rtol=1e-8)


def test_kl_eigenvalues_change_at_every_step_and_the_basis_at_renewals_alone() -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 9)
    optimizer = KLShampoo([weight], lr=0.1, refresh=EveryCheck(period=4))
    bases, values = [], []
    for gradient in stream:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        factor_stack = optimizer.factor_stacks()[0]
        bases.append(factor_stack.basis.clone())
        values.append(factor_stack.eigenvalues.clone())
    # The first gradient gives the basis; updates 4 and 8 come with gradients 5 and 9.
    assert [not torch.equal(a, b) for a, b in zip(bases[1:], bases, strict=False)] == [
        False, False, False, True, False, False, False, True
    ]  # fmt: skip
    assert all(not torch.equal(a, b) for a, b in zip(values[1:], values, strict=False))


def test_a_stale_right_basis_corrupts_the_left_factor() -> None:
    """The coupling of the factors: the same gradients give another L where R's basis is older."""
    stream, found = gradients((4, 4), 12), []
    for period in (1, 100):
        weight = parameter((4, 4))
        optimizer = KLShampoo([weight], lr=0.0, refresh=EveryCheck(period=period))
        train(optimizer, [weight], [stream], 12)
        found.append(optimizer.factor_stacks()[0].current()[0])
    assert not torch.allclose(found[0], found[1], rtol=1e-2)


@pytest.mark.parametrize("name", [*KINDS, "splus"])
def test_parameters_without_factors(name: str) -> None:
    kind = find(name)
    shapes = [(5,), (), (4, 3), (3, 2, 2), (1, 6)]
    weights = [torch.ones(shape, requires_grad=True) for shape in shapes]
    optimizer = kind.build(weights, {})
    with_factors = {factor.parameter for factor in optimizer.factors()}
    assert with_factors == ({2, 3} if name in KINDS else {2, 4})
    for number in range(5):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
        optimizer.step()
    assert all(
        bool(torch.isfinite(weight).all()) and not torch.equal(weight, torch.ones_like(weight)) for weight in weights
    )


@pytest.mark.parametrize("settings", [{}, {"period": 1}, {"betas": (0.0, 0.9)}, {"weight_decay": 0.5}, {"ema": 0.5}])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (5,), (2, 3, 2)])
def test_splus_against_the_reference(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    # Enough gradients before the second renewal that no factor has a null space; the first basis comes from one.
    if len(set(shape)) > 1 and len(shape) == 2:
        settings = {**settings, "max_preconditioner_dim": 5}
    weight, stream = parameter(shape), gradients(shape, 9)
    slow = SlowSPlus(weight.detach().numpy(), **settings)
    rest = {key: value for key, value in settings.items() if key != "period"}
    refresh = EveryCheck(period=settings.get("period", 3), start=1)
    optimizer = SPlus([weight], lr=0.1, refresh=refresh, **rest)
    train(optimizer, [weight], [stream], 9)
    for gradient in stream:
        slow.step(gradient)
    np.testing.assert_allclose(weight.detach().numpy(), slow.weight, rtol=0, atol=1e-10)
    before = weight.detach().clone()
    with optimizer.evaluation_weights():
        np.testing.assert_allclose(weight.detach().numpy(), slow.evaluated, rtol=0, atol=1e-10)
    assert torch.equal(weight, before)


def test_splus_puts_the_weights_back_after_an_error_and_keeps_none_without_a_mean() -> None:
    weight = parameter((4, 4))
    optimizer = SPlus([weight], ema=0.0)
    train(optimizer, [weight], [gradients((4, 4), 3)], 3)
    before = weight.detach().clone()
    with pytest.raises(RuntimeError), optimizer.evaluation_weights():
        assert torch.equal(weight, before)
        raise RuntimeError
    assert torch.equal(weight, before)


@pytest.mark.parametrize("kind", [KLShampoo, KLSOAP, SPlus])
def test_state_continues_exactly(kind: type) -> None:
    stream = gradients((4, 4), 12)

    def new() -> tuple[torch.Tensor, torch.optim.Optimizer]:
        weight = parameter((4, 4))
        return weight, kind([weight], refresh=EveryCheck(period=3))

    weight, optimizer = new()
    train(optimizer, [weight], [stream[:6]], 6)
    buffer = io.BytesIO()
    torch.save({"weight": weight.detach(), "optimizer": optimizer.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other, resumed = new()
    with torch.no_grad():
        other.copy_(saved["weight"])
    resumed.load_state_dict(saved["optimizer"])
    copied = copy.deepcopy(optimizer)
    for one, parameters in ((optimizer, [weight]), (resumed, [other]), (copied, copied.param_groups[0]["params"])):
        train(one, parameters, [stream[6:]], 6)
        assert torch.equal(parameters[0], weight)


@pytest.mark.parametrize("kind", [KLShampoo, KLSOAP, SPlus])
@pytest.mark.parametrize(
    "settings",
    [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"betas": 3}, {"precondition": "some"}, {"refresh": Foam(period=2)}],
)
def test_settings_out_of_range(kind: type, settings: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=next(iter(settings)).removesuffix("s")):
        kind([parameter((2, 2))], **settings)


def test_the_residual_may_decide_about_renewals() -> None:
    weight, stream = parameter((4, 4)), gradients((4, 4), 40)
    optimizer = KLShampoo([weight], lr=0.1, refresh=DiagonalizationResidual(period=1, tau=0.25))
    train(optimizer, [weight], [stream], 40)
    assert all(0 < factor.reuses < 39 for factor in optimizer.factors())


def test_factors_that_vanish_and_explode_stay_finite() -> None:
    for scale in (0.0, 1e-30, 1e18):
        weight = torch.ones(4, 4, requires_grad=True)
        optimizer = KLShampoo([weight], refresh=EveryCheck(period=2))
        for number in range(6):
            weight.grad = scale * torch.randn(4, 4, generator=torch.Generator().manual_seed(number))
            optimizer.step()
        assert bool(torch.isfinite(weight).all())


@pytest.mark.parametrize("sides", ["none", "rows", "columns", "both"])
def test_equilibration(sides: str) -> None:
    matrix = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.logspace(
        -3, 2, 3
    )
    np.testing.assert_allclose(
        equilibrated(matrix, sides).numpy(), slow_equilibrated(matrix.numpy(), sides), rtol=1e-12
    )


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 5)])
def test_newton_schulz_makes_singular_values_alike(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalize(matrix, (3.4445, -4.7750, 2.0315), 5)
    values = torch.linalg.svdvals(found.float())
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    aligned = torch.nn.functional.cosine_similarity(found.float().flatten(), (u @ vt).flatten(), dim=0)
    assert float(aligned) > 0.95


def test_muon_equilibrates_as_asked_and_is_torchs_own_without() -> None:
    stream = gradients((4, 6), 5)
    moved: dict[str, torch.Tensor] = {}
    for sides in ("none", "rows", "columns", "both"):
        weight = torch.ones(4, 6, requires_grad=True)
        optimizer = MuonWithAdamW([weight], lr=0.1, equilibrate=sides)
        for gradient in stream:
            weight.grad = torch.from_numpy(gradient).float() * torch.logspace(-3, 0, 6)
            optimizer.step()
        moved[sides] = weight.detach()
    plain = torch.ones(4, 6, requires_grad=True)
    theirs = torch.optim.Muon([plain], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for gradient in stream:
        plain.grad = torch.from_numpy(gradient).float() * torch.logspace(-3, 0, 6)
        theirs.step()
    assert torch.equal(moved["none"], plain)
    pairs = [(a, b) for a in moved for b in moved if a < b]
    assert all(not torch.allclose(moved[a], moved[b], rtol=1e-2) for a, b in pairs)


def test_muon_first_equilibrated_step_is_that_of_the_rule() -> None:
    gradient = torch.from_numpy(gradients((4, 6), 1)[0]).float() * torch.logspace(-3, 0, 6)
    weight = torch.zeros(4, 6, requires_grad=True)
    optimizer = MuonWithAdamW([weight], lr=0.1, equilibrate="both")
    weight.grad = gradient
    optimizer.step()
    # B = G, M = G + mu B.
    matrix = slow_equilibrated((1.95 * gradient).double().numpy(), "both")
    expected = -0.1 * 0.2 * 6**0.5 * orthogonalize(torch.from_numpy(matrix).float(), (3.4445, -4.7750, 2.0315), 5)
    torch.testing.assert_close(weight.detach(), expected, rtol=2e-2, atol=2e-3)


def test_muon_refuses_an_unknown_side() -> None:
    with pytest.raises(FieldError, match="equilibrate.*rows"):
        MuonWithAdamW([torch.ones(2, 2, requires_grad=True)], equilibrate="diagonal")


def test_groups_of_muon_may_differ_in_equilibration() -> None:
    weights = [torch.ones(3, 3, requires_grad=True) for _ in range(3)]
    optimizer = MuonWithAdamW(
        [
            {"params": [weights[0]], "equilibrate": "rows"},
            {"params": [weights[1]]},
            {"params": [weights[2]], "precondition": "none"},
        ],
        lr=0.1,
    )
    assert [group["method"] for group in optimizer.param_groups] == ["equilibrated", "muon", "adamw"]
    for weight in weights:
        weight.grad = torch.randn(3, 3)
    optimizer.step()
    again = copy.deepcopy(optimizer)
    assert [type(part).__name__ for part in again._parts] == ["Muon", "EquilibratedMuon", "AdamW"]


def test_embeddings_and_heads_are_left_out() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 7))
    for kind in (KLShampoo, KLSOAP, SPlus):
        optimizer = kind(hidden_matrices(model, [model[2]]))
        assert {factor.size for factor in optimizer.factors()} == {4} and len(optimizer.factors()) == 2
