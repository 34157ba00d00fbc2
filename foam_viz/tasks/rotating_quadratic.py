"""A quadratic whose gradient distribution turns at a set speed: staleness with nothing else going on."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from foam_viz.tasks.task import DATA_STREAM, Batch, Picture, Task, batch_generator, to_numpy

TRAIL = 500
_ELLIPSE_POINTS = 65


class TracedMatrix(nn.Module):
    """A matrix that maps inputs to outputs and remembers where its first two entries have been.

    The trail lives in a buffer, so that a saved, restored or forked run keeps it.

    Attributes:
        weight: The parameter W, (width, width), zero at the start.
        trail: The last positions (W_00, W_01), (500, 2), a ring; nan where there is none yet.
        marks: How many positions have been written.
    """

    trail: Tensor
    marks: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))
        self.register_buffer("trail", torch.full((TRAIL, 2), math.nan))
        self.register_buffer("marks", torch.zeros((), dtype=torch.int64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (batch, width) of inputs (batch, width); with gradients on, the position joins the trail."""
        if torch.is_grad_enabled():
            place = (self.marks % TRAIL).view(1, 1).expand(1, 2)
            self.trail.scatter_(0, place, self.weight.detach()[0, :2].view(1, 2))
            self.marks += 1
        return inputs @ self.weight.T


class RotatingQuadratic(Task):
    """Least squares with a known answer: y = W* x + e, loss 1/2 |W x - y|^2 averaged over a batch of fresh samples.

    Inputs x have the covariance C_t = R_t diag(c) R_t^T and the noise e has sigma^2 times the same matrix, where c
    holds numbers from 1 to 1/condition, evenly spaced on a logarithmic scale, and R_t turns at a constant speed,
    every plane (x_0, x_1), (x_2, x_3), ... by the same angle. The first plane holds the largest and the smallest
    number of c, the second the next ones, and so on. At the optimum the gradient is -e x^T, so that the left factor
    G G^T and the right factor G^T G are both multiples of C_t in expectation: their eigenvectors turn at that speed.

    No finite data set: a sample is drawn once and for (seed, step). The held-out loss is the expectation itself.
    A drift burst permutes the inputs, and the optimum with them.

    Args:
        seed: Seeds the optimum, the batches and the permutation; the weights start at zero.
        device: Where tensors live.
        batch_size: Samples of a step.
        width: Rows and columns of W.
        condition: Ratio of the largest to the smallest variance of the inputs.
        speed: Degrees that the distribution turns in a step.
        noise: sigma; without noise the gradient vanishes at the optimum.
        shift_at: First step with permuted inputs; 0 for never.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        batch_size: int = 32,
        width: int = 2,
        condition: float = 100.0,
        speed: float = 0.5,
        noise: float = 0.1,
        shift_at: int = 0,
    ) -> None:
        super().__init__(seed=seed, device=device, shift_at=shift_at)
        self.batch_size, self.width, self.speed, self.noise = batch_size, width, speed, noise
        falling = torch.logspace(0, -math.log10(condition), width)
        self.variances = torch.stack((falling, falling.flip(0)), dim=1).flatten()[:width]
        self._target = torch.randn(width, width, generator=batch_generator(seed, DATA_STREAM))
        # 1/2 E|e|^2: what is left when W = W*.
        self.loss_floor: float = 0.5 * noise**2 * float(self.variances.double().sum())

    def architecture(self) -> nn.Module:
        """Return the one matrix W."""
        return TracedMatrix(self.width)

    def coordinates(self) -> int:
        """Return the width of the matrix."""
        return self.width

    def rotation(self, step: int) -> Tensor:
        """R_t, (width, width), on the CPU: columns are the eigenvectors of C_t."""
        angle = math.radians(self.speed * step)
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = torch.eye(self.width)
        for first in range(0, self.width - 1, 2):
            turn[first, first] = turn[first + 1, first + 1] = cosine
            turn[first + 1, first], turn[first, first + 1] = sine, -sine
        return turn

    def covariance(self, step: int) -> Tensor:
        """Of the inputs as the model sees them, (width, width), on the CPU."""
        spread = self.rotation(step) * self.variances.sqrt()
        if self.is_shifted(step):
            spread = spread[self.permutation().cpu()]
        return spread @ spread.T

    def optimum(self, step: int) -> Tensor:
        """The best W of a step, (width, width), on the CPU; it moves once, at a drift burst."""
        return self._target[:, self.permutation().cpu()] if self.is_shifted(step) else self._target

    def draw(self, step: int) -> Batch:
        """Return samples of the distribution as it is turned at this step."""
        spread = self.rotation(step) * self.variances.sqrt()
        normal = torch.randn(2, self.batch_size, self.width, generator=batch_generator(self.seed, step))
        inputs, errors = normal @ spread.T
        return inputs.to(self.device), (inputs @ self._target.T + self.noise * errors).to(self.device)

    def held_out(self, step: int) -> Batch:
        """Points whose mean squares are the covariance itself, so that their mean loss is the expectation."""
        inputs = (self.rotation(step) * (self.width * self.variances).sqrt()).T
        return inputs.to(self.device), (inputs @ self._target.T).to(self.device)

    def held_out_loss(self, model: nn.Module, step: int | None = None) -> Tensor:
        """The expected loss at a step, exact: the quadratic at W plus what the noise leaves."""
        return super().held_out_loss(model, step) + self.loss_floor

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Half the squared error, averaged over samples."""
        inputs, outputs = batch
        return 0.5 * ((model(inputs) - outputs) ** 2).sum(1).mean()

    def picture(self, model: nn.Module, step: int) -> Picture:
        """The first row of W in the plane of its first two entries: for width 2, the whole of one row's problem.

        Returns:
            ``trail``, (up to 500, 2): positions before each of the last steps, oldest first. ``position``, (2,): now.
            ``optimum``, (2,). ``ellipse``, (65, 2): closed curve of the points C^1/2 u, |u| = 1, round the origin,
            where C is the right factor's expectation, of largest eigenvalue 1. ``covariance``, (2, 2): C itself.
        """
        corner = self.covariance(step)[:2, :2]
        values, vectors = torch.linalg.eigh(corner)
        angle = torch.linspace(0, 2 * math.pi, _ELLIPSE_POINTS)
        circle = torch.stack((angle.cos(), angle.sin()))
        assert isinstance(model, TracedMatrix)
        marks = int(model.marks)
        trail = model.trail.roll(-(marks % TRAIL), 0) if marks >= TRAIL else model.trail[:marks]
        arrays = {
            "trail": trail,
            "position": model.weight[0, :2],
            "optimum": self.optimum(step)[0, :2],
            "ellipse": ((vectors * values.clamp(min=0).sqrt()) @ circle).T,
            "covariance": corner,
        }
        return {name: to_numpy(array) for name, array in arrays.items()}
