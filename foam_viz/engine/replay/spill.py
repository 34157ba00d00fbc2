"""Where the matrices of a recording lie: in memory, or in temporary files where they are too many for it."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foam_viz.analysis.replay_setting import NoReplay

MEMORY_BYTES = 600_000_000
"""What the matrices of one recording may take in memory; beyond it they lie in a file."""


class Spill:
    """Arrays in temporary files, of recordings that are too large for memory.

    Args:
        bytes: That will be asked for.

    Raises:
        NoReplay: The disk has no room for them.
    """

    def __init__(self, bytes: int) -> None:
        self.bytes = bytes
        self._folder = tempfile.TemporaryDirectory(prefix="foam_viz-replay-")
        self._maps: list[mmap.mmap] = []
        free = shutil.disk_usage(self._folder.name).free
        if bytes > free:
            self._folder.cleanup()
            raise NoReplay(
                f"it would take {bytes / 1e9:.1f} GB of temporary files, and their disk has {free / 1e9:.1f} GB free",
                "Free some, let TMPDIR name a folder on a larger disk, or record fewer factors or checks",
            )

    def allocate(self, shape: tuple[int, ...], dtype: type | np.dtype) -> np.ndarray:
        """An array of zeros in a file of its own."""
        with tempfile.NamedTemporaryFile(dir=self._folder.name, delete=False) as file:
            array = np.memmap(Path(file.name), dtype, "w+", shape=shape)
        assert isinstance(array.base, mmap.mmap)
        self._maps.append(array.base)
        return array

    def release(self) -> None:
        """Take what was read or written out of this process's memory; it stays in the files."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not everywhere, and then the system does it when memory is short
            for one in self._maps:
                one.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Delete the files."""
        self._maps.clear()
        self._folder.cleanup()


def allocate(spill: Spill | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An array of zeros, in memory or in a file."""
    if spill is None:
        return torch.zeros(shape, dtype=dtype)
    return torch.from_numpy(spill.allocate(shape, np.float64 if dtype == torch.float64 else np.float32))
