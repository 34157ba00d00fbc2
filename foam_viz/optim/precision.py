"""Products in the precision of their operands, whatever the user's global settings allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Turn TensorFloat-32, bfloat16 products and autocast off within the block; restore the settings after it.

    TF32 keeps 10 bits of the mantissa. The small eigenvalues of a factor, which its inverse root weighs most, lie
    below what such products resolve, so statistics, rotations and inverse roots are never computed in it. The
    settings are global to the process: products that other threads start meanwhile may be exact too.
    """
    backends: Any = torch.backends  # its types know neither the products of mkldnn nor the setting of all
    with ExitStack() as stack:
        for matmul in (backends.cuda.matmul, backends.mkldnn.matmul):
            allowed = matmul.fp32_precision
            if allowed not in ("none", "ieee"):
                # "none" inherits the setting of all backends; writing the inherited value would pin it.
                inherited = backends.fp32_precision == allowed
                stack.callback(setattr, matmul, "fp32_precision", "none" if inherited else allowed)
                matmul.fp32_precision = "ieee"
        for kind in ("cuda", "cpu", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
