"""What a sweep trains: read from YAML, checked as a whole before anything runs. Imports no torch.

tasks: digits-autoencoder        # one, or a list
optimizers: [foam, shampoo]
seeds: [0, 1, 2]
steps: 600
settings:                        # a list of values is swept; of an optimizer, its policy, the task or the run
  tau: [0.3, 0.5, 0.75]
  lr: 0.01
stream: true                     # keep the factors, for predictions beside the truth
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from foam_viz.experiment import config
from foam_viz.optim import catalogue as optimizers
from foam_viz.optim.fields import FieldError, unknown_key
from foam_viz.tasks import catalogue as tasks

MAXIMUM_RUNS = 1000
LARGEST_FILE = 2**20
_KEYS = ("tasks", "optimizers", "seeds", "steps", "settings", "stream")


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: Its folder; the same configuration has the same name, whatever else a sweep trains.
        config: As ``engine.run.Run`` takes it.
    """

    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """All runs of a sweep, in the order in which they are trained.

    Attributes:
        runs: No two alike.
        stream: Whether they keep the factor stream.
        repeated: How many runs were left out because another is the same: a setting that an optimizer does not have.
    """

    runs: tuple[SweepRun, ...]
    stream: bool = False
    repeated: int = 0


def read(path: str | Path) -> Sweep:
    """The sweep of a YAML file.

    Raises:
        FieldError: It is no YAML of this form, or cannot be read; the message names the key, the value and what would
            be allowed.
    """
    import yaml

    path = Path(path)
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise FieldError("SPEC", str(path), f"a file of at most {LARGEST_FILE:,} bytes")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FieldError("SPEC", str(path), f"a YAML file that can be read ({error.strerror or error})") from error
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise FieldError("SPEC", str(path), "YAML without references (*name)")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError("SPEC", str(path), f"YAML: {' '.join(str(error).split())[:200]}") from error
    if data is None:
        raise FieldError("SPEC", str(path), f"a mapping with {', '.join(_KEYS)}; it is empty")
    return build(data)


def build(data: Any) -> Sweep:
    """The sweep that a mapping describes.

    Raises:
        FieldError: A key is unknown, a value is refused, or there are too many runs.
    """
    if not isinstance(data, Mapping):
        raise FieldError("SPEC", type(data).__name__, "a mapping with " + ", ".join(_KEYS))
    for key in data:
        if key not in _KEYS:
            raise unknown_key(str(key), _KEYS)
    task_names = [_name("tasks", one) for one in _many("tasks", data.get("tasks", tasks.DEFAULT_TASK))]
    optimizer_names = [_name("optimizers", one) for one in _many("optimizers", data.get("optimizers", "foam"))]
    seeds, steps = _many("seeds", data.get("seeds", [0])), data.get("steps", 600)
    settings = data.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise FieldError("settings", type(settings).__name__, "a mapping of a setting to a value or a list of values")
    stream = data.get("stream", False)
    if not isinstance(stream, bool):
        raise FieldError("stream", stream, "true or false")
    grid = {str(key): _many(str(key), value) for key, value in settings.items()}
    count = len(task_names) * len(optimizer_names) * len(seeds)
    for values in grid.values():
        count *= len(values)
    if count > MAXIMUM_RUNS:
        raise FieldError(
            "SPEC", f"{count:,} runs", f"a sweep of at most {MAXIMUM_RUNS:,} runs",
            "sweep fewer values at a time; the results of several sweeps open side by side",
        )  # fmt: skip
    _require_owners(grid, task_names, optimizer_names)
    found: dict[str, SweepRun] = {}
    total = 0
    for chosen in _configs(task_names, optimizer_names, seeds, steps, grid):
        total += 1
        run = SweepRun(_folder(chosen), chosen)
        found.setdefault(run.name, run)
    return Sweep(tuple(found.values()), stream, total - len(found))


def _configs(
    task_names: list[str], optimizer_names: list[str], seeds: list[Any], steps: Any, grid: Mapping[str, list[Any]]
) -> Iterator[dict[str, Any]]:
    for task, optimizer in product(task_names, optimizer_names):
        known = _known(task, optimizer)
        mine = {key: values for key, values in grid.items() if key in known}
        for values in product(*mine.values()):
            for seed in seeds:
                given = {"decay_steps": steps, **dict(zip(mine, values, strict=True)), "seed": seed, "steps": steps}
                for_optimizer, for_task, for_run = config.route(task, optimizer, given.items())
                experiment, errors = config.build(task, for_task, for_run, [(optimizer, for_optimizer)])
                if errors:
                    raise errors[0]
                yield experiment.lane_config(0)


def _known(task: str, optimizer: str) -> set[str]:
    fields = (*optimizers.find(optimizer).all_fields, *tasks.find(task).all_fields, *config.RUN_FIELDS)
    return {field.name for field in fields}


def _require_owners(grid: Mapping[str, list[Any]], task_names: list[str], optimizer_names: list[str]) -> None:
    known = {name for pair in product(task_names, optimizer_names) for name in _known(*pair)} - {"seed", "steps"}
    for key in grid:
        if key not in known:
            raise unknown_key(key, known)


def _many(key: str, value: Any) -> list[Any]:
    values = list(value) if isinstance(value, list) else [value]
    if not values:
        raise FieldError(key, "[]", "a value or a list of values, not an empty list")
    for one in values:
        if isinstance(one, Mapping | list):
            raise FieldError(key, one, "a value or a flat list of values")
    return values


def _name(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(key, value, "a name or a list of names")
    (tasks if key == "tasks" else optimizers).find(value)
    return value


def _folder(chosen: Mapping[str, Any]) -> str:
    text = json.dumps(chosen, sort_keys=True, allow_nan=False)
    seed = chosen["run_settings"]["seed"]
    return f"{chosen['task']}-{chosen['optimizer']}-seed{seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
