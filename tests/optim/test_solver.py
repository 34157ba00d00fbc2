"""The solver of each device gives what the CPU's gives in float64."""

from __future__ import annotations

import pytest
import torch

from foam_viz.optim import solver

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def spread(count: int, rows: int, device: str, dtype: torch.dtype) -> torch.Tensor:
    """Positive matrices whose eigenvalues span five decades."""
    generator = torch.Generator().manual_seed(rows)
    basis = torch.linalg.qr(torch.randn(count, rows, rows, generator=generator, dtype=torch.float64)).Q
    values = torch.logspace(0, -5, rows, dtype=torch.float64)
    return ((basis * values) @ basis.mT).to(dtype).to(device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count, rows", [(1, 5), (3, 32), (11, 40), (2, 130), (2, 520)])
def test_eigenvalues_and_basis(count: int, rows: int, dtype: torch.dtype, device: str) -> None:
    matrices = spread(count, rows, device, dtype)
    values, basis = solver.eigh(matrices)
    exact = torch.linalg.eigvalsh(matrices.cpu().double())
    unit = torch.finfo(dtype).eps * (1 + rows / 40)
    assert values.dtype == basis.dtype == dtype and values.device == matrices.device
    assert float((values.cpu() - exact).abs().max()) < 10 * unit
    rebuilt = (basis * values.unsqueeze(-2)) @ basis.mT
    assert float((rebuilt - matrices).abs().max()) < 20 * unit
    identity = torch.eye(rows, dtype=dtype, device=device)
    assert float((basis.mT @ basis - identity).abs().max()) < 40 * unit


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(5, 5), (1, 5, 5), (11, 40, 40)])
def test_the_orthonormal_factor_is_that_of_qr(shape: tuple[int, ...], device: str) -> None:
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)
    basis = solver.orthonormal(matrices)
    expected = torch.linalg.qr(matrices.cpu()).Q
    signs = torch.sign((basis.cpu() * expected).sum(-2, keepdim=True))
    torch.testing.assert_close(basis.cpu() * signs, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("device", DEVICES)
def test_one_matrix_without_a_stack(device: str) -> None:
    matrix = spread(1, 40, device, torch.float32)[0]
    values, basis = solver.eigh(matrix)
    assert values.shape == (40,) and basis.shape == (40, 40)
