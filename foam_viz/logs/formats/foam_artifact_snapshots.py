"""Factor snapshots of the FOAM artifact: matrices in torch's zip files, turned into spectra, errors and overlaps.

Only tensors and plain values are read (``weights_only``); shapes, sizes and values are checked before any of them is
used. What is computed follows the live recorder: the current factor is decomposed afresh, in float64, and compared with
the basis that the run kept.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from foam_viz.logs.core.reader import LogFile
from foam_viz.trace.eigenbasis import against_basis

LARGEST_SIDE = 8192
LARGEST_FILE = 1 << 30
MOST_WORK = 3e10
"""Sum of n^3 over the factors that are decomposed, half a minute or so; of the rest only the kept spectrum is read."""

_MOST_ELEMENTS = 1 << 23  # of matrices that are decomposed at one time


def read_snapshots(
    files: Sequence[LogFile], factor_number: Callable[[str, int, int], int], notes: list[str]
) -> list[dict[str, object]]:
    """Read snapshots of all ranks and epochs.

    Args:
        files: ``factor_snapshots/*.pt``.
        factor_number: Gives the number of a factor from its id, its parameter group and its size.
        notes: What could not be read is added, with the file and the reason.

    Returns:
        Rows of the trace's table ``snapshots``, by step.
    """
    if not files:
        return []
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        notes.append(f"{len(files)} snapshots were not read: torch, which reads them, cannot be loaded ({error}).")
        return []
    rows: list[dict[str, object]] = []
    work = 0.0
    late: list[str] = []
    for file in files:
        batches: dict[tuple[int, int, int], list[tuple[int, dict[str, Any]]]] = {}
        for step, number, entry in entries(file, factor_number, notes):
            key = (step, int(entry["eigenvalues"].shape[0]), int(entry["root"]))
            batches.setdefault(key, []).append((number, entry))
        for (step, size, root), members in batches.items():
            together = max(1, _MOST_ELEMENTS // size**2)
            for start in range(0, len(members), together):
                part = members[start : start + together]
                cost = len(part) * float(size) ** 3
                whole = work + cost <= MOST_WORK
                work += cost if whole else 0.0
                if not whole:
                    late.append(f"{file.name} ({len(part)} factors of side {size:,})")
                rows += _rows(step, root, part, whole)
    if late:
        notes.append(
            "Too much to decompose: of some snapshots only the kept spectrum was read, without true error and overlap: "
            f"{', '.join(late[:3])}{', ...' if len(late) > 3 else ''}. Give fewer snapshots at a time."
        )
    return sorted(rows, key=lambda row: (row["step"], row["factor"]))


def entries(
    file: LogFile, factor_number: Callable[[str, int, int], int], notes: list[str]
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Step, number and content of each factor of a file that passes all checks."""
    reason, content = _load(file)
    if content is None:
        notes.append(f"{file.name} was not read: {reason}.")
        return
    unusable: list[str] = []
    without = 0
    for position, entry in enumerate(content["snapshots"]):
        fault = _fault(entry)
        name = str(entry.get("factor_index", position))[:100] if isinstance(entry, dict) else f"entry {position}"
        if fault == "none":
            without += 1
        elif fault:
            unusable.append(f"{name}: {fault}")
        else:
            size = int(entry["eigenvalues"].shape[0])
            group = entry.get("group_index")
            yield content["global_step"], factor_number(name, group if type(group) is int else 0, size), entry
    if without:
        notes.append(f"{file.name}: {without:,} factors had not been decomposed yet.")
    if unusable:
        more = f" and {len(unusable) - 3:,} more" if len(unusable) > 3 else ""
        notes.append(f"{file.name}: factors left out: {'; '.join(unusable[:3])}{more}.")


def _load(file: LogFile) -> tuple[str, dict[str, Any] | None]:
    import torch

    if file.size > LARGEST_FILE:
        return f"it is too large ({file.size:,} bytes; {LARGEST_FILE:,} are read)", None
    try:
        with zipfile.ZipFile(file.path) as archive:
            entries = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        return f"it is no zip file of torch, or cut off ({error})", None
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "it is compressed, which torch's own files never are", None
    try:
        content = torch.load(file.path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises what it likes for a damaged file; none of it may end the reading
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return f"torch cannot load it with weights_only=True, so it may hold more than tensors ({first})", None
    if not isinstance(content, dict) or not isinstance(content.get("snapshots"), list):
        return "it holds no list of snapshots", None
    step = content.get("global_step")
    if type(step) is not int or not 0 <= step < 2**53:
        return f"its global_step is {str(step)[:50]!r}, not a whole number from 0", None
    return "", content


def _fault(entry: object) -> str:
    """Why an entry cannot be used; ``"none"`` where the factor has no basis yet, empty where it can."""
    import torch

    if not isinstance(entry, dict):
        return "is no mapping"
    if entry.get("has_eigendecomposition") is False:
        return "none"
    found = [entry.get(name) for name in ("factor_matrix", "eigenvectors", "eigenvalues")]
    tensors = [item for item in found if isinstance(item, torch.Tensor) and item.layout == torch.strided]
    if len(tensors) < len(found):
        return "lacks factor_matrix, eigenvectors or eigenvalues"
    matrix, basis, eigenvalues = tensors
    shapes = ", ".join(str(tuple(item.shape)) for item in tensors)
    side = eigenvalues.shape[0] if eigenvalues.ndim == 1 else 0
    if not 1 <= side <= LARGEST_SIDE or matrix.shape != (side, side) or basis.shape != (side, side):
        return f"shapes {shapes} are not (n, n), (n, n), (n) with n from 1 to {LARGEST_SIDE:,}"
    if not all(item.is_floating_point() for item in tensors):
        return "holds no floating-point numbers"
    if any(item.untyped_storage().nbytes() < item.numel() * item.element_size() for item in tensors):
        return "holds a matrix that repeats a few numbers"  # costs the file nothing and memory everything
    if not all(bool(torch.isfinite(item).all()) for item in tensors):
        return "holds NaN or inf"
    epsilon, root = entry.get("epsilon"), entry.get("root")
    if not isinstance(epsilon, int | float) or not 0 <= epsilon < float("inf"):
        return f"epsilon is {str(epsilon)[:50]!r}, not a number from 0"
    return (
        "" if type(root) is int and 1 <= root <= 64 else f"root is {str(root)[:50]!r}, not a whole number from 1 to 64"
    )


def _rows(
    step: int, root: int, members: Sequence[tuple[int, dict[str, Any]]], whole: bool
) -> Iterator[dict[str, object]]:
    """Rows of factors of one size: spectra, and with ``whole`` the true error and the overlap."""
    import torch

    from foam_viz.optim import linalg

    kept = torch.stack([entry["eigenvalues"] for _, entry in members]).double()
    epsilon = [float(entry["epsilon"]) for _, entry in members]
    spectra: list[np.ndarray | None] = [None] * len(members)
    errors: list[float | None] = [None] * len(members)
    unknown: dict[str, object] = {"overlap": None, "overlap_size": None, "turn": None, "top_angles": None}
    against: list[dict[str, object]] = [unknown for _ in members]
    if whole:
        current = torch.stack([entry["factor_matrix"] for _, entry in members]).double()
        basis = torch.stack([entry["eigenvectors"] for _, entry in members]).double()
        fresh = linalg.eigh_robust((current + current.mT) / 2, epsilon)
        damping = torch.tensor(epsilon, dtype=torch.float64)
        error = linalg.operator_error(basis, kept, fresh.basis, fresh.eigenvalues, damping, root)
        mixed = linalg.mixing(basis, kept, fresh.basis, fresh.eigenvalues)
        for i, outcome in enumerate(fresh.outcomes):
            if outcome != "failed":
                spectra[i] = fresh.eigenvalues[i].flip(0).float().numpy()
                errors[i] = float(error[i]) if bool(torch.isfinite(error[i])) else None
                against[i] = against_basis(mixed[i].numpy(), fresh.eigenvalues[i].flip(0).numpy())
    descending = kept.sort(-1, descending=True).values.float().numpy()
    for i, (number, _) in enumerate(members):
        yield {
            "step": step,
            "factor": number,
            "epsilon": epsilon[i],
            "eigenvalues": spectra[i],
            "basis_eigenvalues": descending[i],
            "true_error": errors[i],
            **against[i],
        }
