"""An ill-conditioned matrix of low rank, learned as a product of two thin ones from some of its entries."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from foam_viz.tasks.task import DATA_STREAM, Batch, Picture, Task, batch_generator, to_numpy

TRAINED_SHARE = 0.8


class _Product(nn.Module):
    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        # Entries of the product then have a standard deviation of 0.1, against 1 of the target's.
        scale = math.sqrt(0.1 / math.sqrt(rank))
        self.left = nn.Parameter(scale * torch.randn(width, rank))
        self.right = nn.Parameter(scale * torch.randn(width, rank))

    def forward(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The entries of left right^T at (rows, columns)."""
        return (self.left[rows] * self.right[columns]).sum(1)


class MatrixFactorization(Task):
    """Completes M = U diag(s) V^T: U, V orthonormal, s falling from 1 to 1/condition, scaled to unit mean square.

    Four fifths of the entries, chosen by the seed, may be drawn for training, the others are held out. The loss is
    the mean squared error of an entry; M has the rank of the model, so that the best loss is 0. A drift burst
    permutes the columns of M.

    Args:
        seed: Seeds the matrix, the split, weights, batches and permutation.
        device: Where tensors live.
        batch_size: Entries of a step, drawn with replacement.
        width: Rows and columns of M.
        rank: Columns of each of the two factors, and the rank of M; at most ``width``.
        condition: Ratio of the largest to the smallest singular value that is not zero.
        shift_at: First step with permuted columns; 0 for never.
    """

    loss_floor = 0.0

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 512,
        width: int = 64,
        rank: int = 8,
        condition: float = 100.0,
        shift_at: int = 0,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.rank = batch_size, width, rank
        generator = batch_generator(seed, DATA_STREAM)
        left, right = (torch.linalg.qr(torch.randn(width, rank, generator=generator))[0] for _ in range(2))
        singular_values = torch.logspace(0, -math.log10(condition), rank)
        singular_values *= width / singular_values.norm()
        self.target = ((left * singular_values) @ right.T).to(self.device)
        order = torch.randperm(width * width, generator=generator)
        trained = int(TRAINED_SHARE * width * width)
        self._trained, self._kept = order[:trained], order[trained:].to(self.device)

    def architecture(self) -> nn.Module:
        """Return the product of two thin matrices."""
        return _Product(self.width, self.rank)

    def coordinates(self) -> int:
        """Return the number of columns."""
        return self.width

    def draw(self, step: int) -> Batch:
        """Return known entries of the matrix, drawn with replacement."""
        chosen = torch.randint(len(self._trained), (self.batch_size,), generator=batch_generator(self.seed, step))
        return self._entries(self._trained[chosen].to(self.device))

    def held_out(self, step: int) -> Batch:
        """Return the entries never trained on."""
        return self._entries(self._kept)

    def _entries(self, places: Tensor) -> Batch:
        rows, columns = places // self.width, places % self.width
        return rows, columns, self.target[rows, columns]

    def permute(self, batch: Batch, permutation: Tensor) -> Batch:
        """Return the batch with permuted columns."""
        # Column i then shows what column permutation[i] showed.
        rows, columns, values = batch
        return rows, permutation.argsort()[columns], values

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared error of an entry, averaged."""
        rows, columns, values = batch
        return ((model(rows, columns) - values) ** 2).mean()

    def picture(self, model: nn.Module, step: int) -> Picture:
        """How much of the target's spectrum is learned. A permutation of columns leaves singular values alone.

        Returns:
            ``target`` and ``learned``, both (rank,): singular values of M and of the product, falling.
        """
        # The product has the singular values of a small matrix: R_left R_right^T of two QR decompositions.
        with torch.no_grad():
            left, right = (torch.linalg.qr(part.cpu())[1] for part in (model.left, model.right))
        spectra = {
            "target": torch.linalg.svdvals(self.target.cpu())[: self.rank],
            "learned": torch.linalg.svdvals(left @ right.T),
        }
        return {name: to_numpy(values) for name, values in spectra.items()}
