"""Where a writer writes, and as what: the directory of its rank, and the manifest of a new or a continued run."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foam_viz.trace.disk import bundle, strict_json
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.manifest import Manifest

# What names a launch of several processes alike in all of them, where there is such a name.
_LAUNCH = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")


@dataclass(frozen=True)
class Destination:
    """One process's share of a run.

    Attributes:
        root: The path that was asked for.
        directory: The bundle directory: the root, or a folder of this rank in it.
        rank: From 0.
        world_size: Number of processes.
        resume_step: The last step that stays; 0 for a new run.
        there: Manifest of the run that is continued, None for a new one.
    """

    root: Path
    directory: Path
    rank: int
    world_size: int
    resume_step: int
    there: Manifest | None

    @property
    def resumes(self) -> bool:
        """Whether a run is continued."""
        return self.there is not None

    @classmethod
    def find(
        cls, path: str | os.PathLike[str], rank: int | None, world_size: int | None, resume_step: int | None
    ) -> Destination:
        """Check the arguments of a writer.

        Raises:
            ValueError: Rank, world size or step are outside their range, or the path holds a run that is not to be
                continued, or that another program wrote.
        """
        own_rank = _whole("rank", rank, "RANK", 0)
        size = _whole("world_size", world_size, "WORLD_SIZE", own_rank + 1)
        if size < 1 or not 0 <= own_rank < size:
            raise ValueError(f"rank = {own_rank}, world_size = {size}: rank must be from 0 to world_size - 1")
        if resume_step is not None and (
            isinstance(resume_step, bool) or not isinstance(resume_step, int) or resume_step < 0
        ):
            raise ValueError(f"resume_step = {resume_step!r}: must be a whole number from 0, or None for a new run")
        root = Path(path)
        directory = root / f"rank_{own_rank:05d}" if size > 1 else root
        there = None
        if bundle.is_bundle(directory):
            there = cls._continued(directory, resume_step)
        return cls(root, directory, own_rank, size, resume_step or 0, there)

    @staticmethod
    def _continued(directory: Path, resume_step: int | None) -> Manifest:
        try:
            there = bundle.read_manifest(directory)
        except BundleError as error:
            raise ValueError(str(error)) from error
        if resume_step is None:
            raise ValueError(
                f"{directory}: holds the run {there.name!r} already. Choose another path, or continue that run with "
                "resume_step=S, the step of the checkpoint that training goes on from"
            )
        if not isinstance(there.config.get("writer"), Mapping):
            raise ValueError(f"{directory}: holds the run {there.name!r}, which no Writer wrote. Choose another path")
        return there

    def manifest(
        self,
        name: str | None,
        config: Mapping[str, Any] | None,
        task: str,
        units: Mapping[str, str],
        recorder: Mapping[str, Any],
    ) -> Manifest:
        """The manifest to begin or to go on with.

        Raises:
            TypeError: ``config`` is no mapping.
            ValueError: A column has another unit than in the run that is continued.
        """
        if config is not None and not isinstance(config, Mapping):
            raise TypeError(f"config = {config!r:.80}: must be a mapping; vars(args) makes one of parsed arguments")
        old = self.there.config["writer"] if self.there is not None else {}
        before = old.get("units") or {}
        for column, unit in units.items():
            if not isinstance(unit, str):
                raise ValueError(f"units[{column!r}] = {unit!r}: must be text")
            if before.get(column, unit) != unit:
                raise ValueError(f"units[{column!r}] = {unit!r}: the run that is continued has {before[column]!r}")
        writer = {
            "rank": self.rank,
            "world_size": self.world_size,
            "run": old.get("run") or self._run(),
            "units": {**before, **units},
        }
        given = {str(key): _storable(value) for key, value in (config or {}).items()}
        if self.there is not None:
            return self.there.with_(
                status="running",
                diverged_step=None,
                config={**self.there.config, **given, "writer": writer},
                recorder=recorder,
                notes=(*self.there.notes, f"continued after step {self.resume_step}"),
            )
        return Manifest(
            run_id=secrets.token_hex(16),
            name=name or self.root.name or "run",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            task=task,
            config={**given, "writer": writer},
            device=_device(),
            hardware={
                "machine": platform.machine(),
                "system": platform.system(),
                "world_size": self.world_size,
                **({"device_name": found} if (found := _device_name()) else {}),
            },
            software={"python": platform.python_version(), **_torch_version()},
            status="running",
            recorder=recorder,
        )

    def totals(self) -> tuple[float, int]:
        """Seconds and decompositions of the run up to where it is continued."""
        if self.there is None:
            return 0.0, 0
        trace = bundle.read(self.directory)
        totals = []
        for column in ("total_seconds", "decompositions"):
            values = [value for value in trace.steps[column].to_pylist() if value is not None]
            totals.append(max(values, default=0))
        return float(totals[0]), int(totals[1])

    def _run(self) -> str:
        """One word for all ranks of a run, found without talking to them."""
        if self.there is None and self.world_size > 1 and self.resume_step:
            for sibling in sorted(self.root.glob("rank_*")):
                try:
                    known = bundle.read_manifest(sibling).config.get("writer")
                except BundleError:
                    continue
                if isinstance(known, Mapping) and isinstance(known.get("run"), str):
                    return known["run"]
        launch = [os.environ.get(name, "") for name in _LAUNCH]
        return hashlib.sha256("\0".join([str(self.root.absolute()), *launch]).encode()).hexdigest()[:32]


def describe(optimizer: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the settings of the optimizer's first group, unless it has an ``optimizer_settings``."""
    groups = optimizer.param_groups
    settings = (
        {key: value for key, value in groups[0].items() if key not in ("params", "param_names")} if groups else {}
    )
    return {"optimizer_settings": {str(key): _storable(value) for key, value in settings.items()}, **config}


def _whole(name: str, given: int | None, variable: str, default: int) -> int:
    if given is None:
        text = os.environ.get(variable, "").strip()
        if text and not text.isdecimal():
            raise ValueError(f"the environment's {variable} = {text!r}: must be a whole number; or pass {name}=")
        return int(text) if text else default
    if isinstance(given, bool) or not isinstance(given, int):
        raise ValueError(f"{name} = {given!r}: must be a whole number")
    return given


def _storable(value: Any) -> Any:
    """A value as JSON has it; what it cannot hold, a path or a class, as text."""
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(item) for item in value]
    try:
        return strict_json.plain(value)
    except TypeError:
        return str(value)


def _torch_version() -> dict[str, str]:
    torch = sys.modules.get("torch")
    return {"torch": str(torch.__version__)} if torch is not None else {}


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    return "cuda" if torch.cuda.is_available() and torch.cuda.is_initialized() else ""


def _device_name() -> str:
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch is not None and _device() == "cuda" else ""
