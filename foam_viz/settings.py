"""The configuration of an installation: one typed dataclass, a TOML file and the environment.

Read from ``$FOAM_VIZ_HOME/config.toml`` (``~/.foam_viz/config.toml`` where the variable is unset), each value
overridden by ``FOAM_VIZ_<NAME>``. Unknown keys and variables are errors: a misspelt limit must not be a silent default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A configuration value that cannot be used; the message names the key, the value, where and the remedy."""


_LEAST_MEMORY = 2**30
_USUAL_MEMORY = 8 * 2**30


_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container finds its limit of memory: in the second and the first version of control groups."""


def machine_memory() -> int:
    """Memory in bytes that the machine has, or that a container may use; 8 GiB where the system does not tell."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        memory = _USUAL_MEMORY
    return min(memory, *(_container_limit(path, memory) for path in _CONTAINER_LIMITS))


def _container_limit(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no container, or "max"
        return otherwise


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the configuration and, by default, of the data."""
    return Path(environment.get("FOAM_VIZ_HOME") or Path.home() / ".foam_viz").expanduser()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an installation may choose.

    Attributes:
        data_directory: Where runs are autosaved.
        engines: Engine processes; 0 means one fewer than the processor's cores, at least one.
        own_engines: Further processes, each for one run whose steps are too long to share a process with others.
        engine_memory_mb: Memory that the runs of one engine may take, in MiB; 0 means four fifths of the machine's,
            divided by the engines.
        device: Where runs train that ask for no device: ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda`` or
            ``mps``.
        step_seconds: Longest time that a step of a run may take, in seconds.
        maximum_factors: Factors that all optimizers of a run together may keep.
        maximum_steps: Steps after which a run pauses for good.
        silent_seconds: An engine that has said nothing for so long is replaced, in seconds.
        idle_pause_seconds: A run is paused when no page has shown it for so long, in seconds.
        grace_seconds: How long a run outlives its last open page, in seconds.
        browser_seconds: How long uploads, selections and corrections of a browser outlive its last open page, in
            seconds.
        publish_seconds: Time between two publications of a training run, in seconds.
        part_seconds: Time between two autosaved parts, in seconds; longer where more than four runs share a training
            process, in proportion.
        checkpoint_seconds: Time between two saves of weights and optimizer state, in seconds; large states are saved
            less often, and all of them where more than four runs share a training process.
        keep_days: Saved runs that nobody watched for so long are deleted, in days.
        keep_gb: Disk space of all saved runs together, in GiB; beyond it the runs unwatched longest are deleted.
        run_mb: Disk space of one saved run, in MiB; beyond it its older rows are thinned.
        maximum_width: Widest model that a run may train, in features.
        maximum_lanes: Optimizers that a run may train side by side.
        maximum_hours: Time that a run may train before it pauses for good, in hours of one core.
        round_seconds: Runs wait for their turn where those that share a training process would take longer than this
            for the longest step of each, in seconds, as projected.
        runs_per_browser: Runs that one browser may hold at a time.
        maximum_runs: Runs that the server holds at a time.
        log_seconds: Longest time that one uploaded run may take to read, in seconds.
        log_memory_mb: Memory that reading uploaded logs may take, in MiB.
        log_unpacked_mb: Bytes that uploaded archives may unpack to, in MiB.
        log_kept_mb: Memory that the open logs of one visitor may hold, in MiB; one upload may give as much.
        log_kept_total_mb: Memory that the open logs of all visitors may hold, in MiB; beyond it those unused
            longest are closed.
        log_folders: Folders on the server whose logs may be opened by name; none by default. In the environment their
            paths are separated as in ``PATH``.
        scheduler: Address of a Dask scheduler whose workers train sweeps, like ``tcp://host:8786``; empty trains them
            with processes of this machine.
    """

    data_directory: Path = field(default_factory=lambda: home() / "data")
    engines: int = 0
    own_engines: int = 2
    engine_memory_mb: int = 0
    device: str = "auto"
    step_seconds: float = 20.0
    maximum_factors: int = 5000
    maximum_steps: int = 1_000_000
    silent_seconds: float = 10.0
    idle_pause_seconds: float = 7200.0
    grace_seconds: float = 60.0
    browser_seconds: float = 3600.0
    publish_seconds: float = 0.25
    part_seconds: float = 1.0
    checkpoint_seconds: float = 10.0
    keep_days: float = 14.0
    keep_gb: float = 20.0
    run_mb: int = 4096
    maximum_width: int = 512
    maximum_lanes: int = 6
    maximum_hours: float = 24.0
    round_seconds: float = 10.0
    runs_per_browser: int = 4
    maximum_runs: int = 64
    log_seconds: float = 60.0
    log_memory_mb: int = 2048
    log_unpacked_mb: int = 2048
    log_kept_mb: int = 512
    log_kept_total_mb: int = 2048
    log_folders: tuple[Path, ...] = ()
    scheduler: str = ""

    @property
    def engine_count(self) -> int:
        """Number of engine processes that share runs."""
        return self.engines or max(1, (os.cpu_count() or 2) - 1)

    @property
    def engine_memory(self) -> int:
        """Memory that the runs of one engine may take, in bytes."""
        if self.engine_memory_mb:
            return self.engine_memory_mb * 2**20
        share = 0.8 * machine_memory() / (self.engine_count + self.own_engines)
        return max(int(share), _LEAST_MEMORY)


_RANGES: dict[str, tuple[float, float]] = {
    "engines": (0, 64),
    "own_engines": (0, 64),
    "engine_memory_mb": (0, 1_048_576),
    "step_seconds": (0.1, 3600),
    "maximum_factors": (1, 1_000_000),
    "maximum_steps": (1, 10_000_000),
    "silent_seconds": (1, 3600),
    "idle_pause_seconds": (1, 2_592_000),
    "grace_seconds": (1, 86_400),
    "browser_seconds": (1, 604_800),
    "publish_seconds": (0.05, 10),
    "part_seconds": (0.1, 1.0),
    "checkpoint_seconds": (1, 600),
    "keep_days": (0.1, 36_500),
    "keep_gb": (0.1, 1_048_576),
    "run_mb": (16, 1_048_576),
    "maximum_width": (8, 512),
    "maximum_lanes": (1, 6),
    "maximum_hours": (0.001, 8760),
    "round_seconds": (0.1, 3600),
    "runs_per_browser": (1, 64),
    "maximum_runs": (1, 4096),
    "log_seconds": (1, 3600),
    "log_memory_mb": (256, 1_048_576),
    "log_unpacked_mb": (1, 1_048_576),
    "log_kept_mb": (1, 1_048_576),
    "log_kept_total_mb": (1, 1_048_576),
}
_PREFIX = "FOAM_VIZ_"
_OTHER_VARIABLES = (
    "FOAM_VIZ_HOME", "FOAM_VIZ_TASK_FILES", "FOAM_VIZ_EXAMPLE_LOGS", "FOAM_VIZ_REQUIRE_BROWSER",
    "FOAM_VIZ_REQUIRE_LIBRARIES",
)  # fmt: skip
"""Variables that are no settings: the home, where a server keeps uploads, and those that only the tests read."""
DEVICES = ("auto", "cpu", "cuda", "mps")


def _checked(name: str, value: Any, where: str) -> Any:
    if name == "data_directory":
        if not isinstance(value, str) or not value:
            raise SettingsError(f"{where}: {name} = {value!r} must be the path of a folder")
        return Path(value).expanduser()
    if name == "log_folders":
        paths = value.split(os.pathsep) if isinstance(value, str) else value
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise SettingsError(f'{where}: log_folders = {value!r} must be a list of paths, for example ["/data/runs"]')
        folders = tuple(Path(path).expanduser() for path in paths if path)
        for folder in folders:
            if not folder.is_dir():
                raise SettingsError(f"{where}: log_folders: {str(folder)!r} must be a folder that exists")
        return folders
    if name == "scheduler":
        if not isinstance(value, str):
            raise SettingsError(f"{where}: scheduler = {value!r} must be an address, like tcp://host:8786")
        return value.strip()
    if name == "device":
        if value not in DEVICES:
            raise SettingsError(f"{where}: device = {value!r} must be one of {', '.join(DEVICES)}")
        return value
    low, high = _RANGES[name]
    kind = type(getattr(Settings(), name))
    try:
        number = kind(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if isinstance(value, float) and number != value:  # 2.7 engines are no 2
        number = None
    if number is None or not low <= number <= high:
        noun = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{where}: {name} = {value!r} must be {noun} from {low:g} to {high:g}")
    return number


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the configuration.

    Raises:
        SettingsError: A file that is no TOML, an unknown key or variable, or a value out of its range.
    """
    names = [f.name for f in fields(Settings)]
    path = home(environment) / "config.toml"
    values: dict[str, Any] = {"data_directory": home(environment) / "data"}
    if path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: this is not TOML: {error}") from None
        for key, value in table.items():
            if key not in names:
                close = get_close_matches(key, names, n=1)
                hint = f"; did you mean {close[0]}?" if close else f". Known are {', '.join(names)}"
                raise SettingsError(f"{path}: unknown key {key!r}{hint}")
            values[key] = _checked(key, value, str(path))
    variables = {_PREFIX + name.upper(): name for name in names}
    for variable, value in environment.items():
        if variable in variables:
            values[variables[variable]] = _checked(variables[variable], value, f"environment variable {variable}")
        elif variable.startswith(_PREFIX) and variable not in _OTHER_VARIABLES:
            known = [name.removeprefix(_PREFIX) for name in (*variables, *_OTHER_VARIABLES)]
            close = get_close_matches(variable.removeprefix(_PREFIX).upper(), known, n=1)
            hint = f"; did you mean {_PREFIX}{close[0]}?" if close else f". Known are {_PREFIX}... {', '.join(known)}"
            raise SettingsError(f"environment variable {variable}: there is no such setting{hint}")
    return Settings(**values)
