"""Low-precision products stay out of a step, whatever the user's global settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from foam_viz.optim import gram
from foam_viz.optim.precision import full_precision
from foam_viz.optim.refresh import Foam
from foam_viz.optim.shampoo import Shampoo
from foam_viz.optim.soap import SOAP

_BACKENDS = (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
_PRODUCTS = ("mm", "bmm", "addmm", "addmm_", "baddbmm", "baddbmm_")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = [backend.fp32_precision for backend in _BACKENDS]
    yield
    torch.set_float32_matmul_precision("highest")
    for backend, precision in zip(_BACKENDS, before, strict=True):
        backend.fp32_precision = precision


def _legacy() -> None:
    torch.set_float32_matmul_precision("medium")


def _each() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "tf32"


def _all() -> None:
    torch.backends.fp32_precision = "tf32"


class Products(TorchDispatchMode):
    """Notes under which settings each product is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str, bool]] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator.__name__.split(".")[0] in _PRODUCTS:
            cuda, host = (backend.fp32_precision for backend in _BACKENDS[1:])
            self.seen.append((cuda, host, torch.is_autocast_enabled("cpu")))
        return operator(*args, **(kwargs or {}))


OPTIMIZERS: dict[str, Callable[[list[torch.Tensor]], torch.optim.Optimizer]] = {
    "foam": lambda w: Shampoo(w, lr=0.1, refresh=Foam(period=2, epsilon_max=1e-8)),
    "soap": lambda w: SOAP(w, lr=0.1, period=2),
}


def _train(name: str) -> list[torch.Tensor]:
    weights = [torch.ones(shape, requires_grad=True) for shape in ((6, 4), (260, 3))]
    optimizer = OPTIMIZERS[name](weights)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
    return weights


@pytest.mark.parametrize("on_host", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("allow", [_legacy, _each, _all])
def test_every_product_of_a_step_is_exact_and_the_settings_come_back(
    allow: Callable[[], None], name: str, on_host: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram, "on_host", lambda tensor: on_host)
    allow()
    before = [backend.fp32_precision for backend in _BACKENDS]
    assert before[1] == "tf32"
    products = Products()
    with products:
        _train(name)
    assert products.seen and {(cuda, host) for cuda, host, _ in products.seen} == {("ieee", "ieee")}
    assert [backend.fp32_precision for backend in _BACKENDS] == before


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_under_autocast_is_the_step_without_it(name: str) -> None:
    plain = _train(name)
    products = Products()
    with torch.autocast("cpu", dtype=torch.bfloat16), products:
        cast = _train(name)
    assert products.seen and not any(autocast for _, _, autocast in products.seen)
    for one, other in zip(plain, cast, strict=True):
        assert torch.equal(one, other)


def test_an_inherited_setting_stays_inherited() -> None:
    _all()
    with full_precision():
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    torch.backends.fp32_precision = "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_settings_come_back_after_an_exception() -> None:
    _each()
    with pytest.raises(RuntimeError, match="within"), full_precision():
        raise RuntimeError("within")
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
