"""Which runs can be tried under other thresholds: those whose factors were recorded."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from foam_viz.engine import store
from foam_viz.engine.server import your_runs
from foam_viz.engine.server.history import YourRun
from foam_viz.files import SAMPLE_RUNS
from foam_viz.recording.stream import archives
from foam_viz.recording.stream.part import STREAM_FOLDER
from foam_viz.trace import Trace
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.ui.server import hub
from foam_viz.ui.session.logs import sample
from foam_viz.ui.session.open_logs import OpenLogs, Source
from foam_viz.ui.threshold import snapshots

SAMPLE, UPLOAD = "sample:", "upload:"
_MOST_OWN = 30


@dataclass(frozen=True, eq=False)
class StreamedRun:
    """A run with a factor stream.

    Attributes:
        key: ``sample:NAME``, ``VIEW_ID:LANE``, or ``upload:ID`` of this browser.
        label: Name to show; text of a stranger where it was uploaded.
        origin: Where it comes from, in a word or two.
        path: Its bundle.
        trace: Gives what was recorded beside the stream.
        make: Makes the bundle where it is not there yet, given what says that nobody waits for it any more; returns why
            it could not, empty where it could.
        remark: What a reader should know of its replays.
    """

    key: str
    label: str
    origin: str
    path: Path
    trace: Callable[[], Trace]
    make: Callable[[Callable[[], bool]], str] | None = None
    remark: str = ""

    @property
    def view_id(self) -> str:
        """View id of the run of this server that it is a lane of; empty where it is none."""
        view_id = self.key.partition(":")[0]
        return view_id if store.is_identity(view_id) else ""

    @property
    def shareable(self) -> bool:
        """Whether its key means the same in another browser."""
        return not self.key.startswith(UPLOAD)


@lru_cache(maxsize=1)
def samples() -> tuple[StreamedRun, ...]:
    """The recorded samples that hold a stream."""
    found = [path for path in sorted(SAMPLE_RUNS.glob("*.zip")) if has_stream(path)]
    return tuple(
        StreamedRun(f"{SAMPLE}{path.stem}", path.stem, "sample", path, lambda name=path.stem: sample(name))
        for path in found
    )


def has_stream(path: Path) -> bool:
    """Whether a bundle, a folder or a zip file, holds a factor stream."""
    try:
        if path.is_dir():
            return any((path / STREAM_FOLDER).glob("stream.*.arrow"))
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(f"{STREAM_FOLDER}/stream." in name for name in archive.namelist()[:10_000])
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def own(owner: str) -> list[StreamedRun]:
    """The newest runs of a browser that kept their factors, a lane each."""
    found = []
    for run in your_runs.all_of(hub(), owner)[:_MOST_OWN]:
        labels = run.saved.experiment.labels()
        for lane, label in enumerate(labels):
            made = _lane(run.saved.view_id, lane)
            if made is not None:
                name = run.name
                title = label if len(labels) == 1 and not run.saved.name else f"{label} of {name}"
                found.append(StreamedRun(made.key, f"{title}, {run.step:,} steps", "yours", made.path, made.trace))
    return found


def without_factors(owner: str) -> list[YourRun]:
    """The newest runs of a browser that kept no factors in any lane: they can be trained again with them."""
    found = []
    for run in your_runs.all_of(hub(), owner)[:_MOST_OWN]:
        lanes = range(len(run.saved.experiment.lanes))
        if not any(_lane(run.saved.view_id, lane) for lane in lanes):
            found.append(run)
    return found


def bare(logs: OpenLogs) -> list[Trace]:
    """The run bundles that a browser has uploaded and that hold no stream."""
    return [
        trace
        for source in list(logs.sources)
        for trace in source.found.traces
        if "run_settings" in trace.manifest.config and not any(has_stream(path) for path in source.paths)
    ]


def _lane(view_id: str, lane: int) -> StreamedRun | None:
    path = store.lane_directory(store.run_directory(hub().settings.data_directory, view_id), lane)
    if not has_stream(path):
        return None

    def trace() -> Trace:
        return your_runs.traces(hub(), view_id)[lane]

    return StreamedRun(f"{view_id}:{lane}", f"run {view_id[:8]}, lane {lane + 1}", "yours", path, trace)


def uploaded(logs: OpenLogs) -> list[StreamedRun]:
    """The runs with factors among what a browser has uploaded, as far as they were read: bundles, and snapshots."""
    found = []
    for source in list(logs.sources):
        traces = source.found.traces
        found += [made for position in range(len(traces)) if (made := _of_snapshots(source, position))]
        bundles = [path for given in source.paths if has_stream(given) for path in _lanes(source, given, len(traces))]
        for place, path in enumerate(bundles):
            if place < len(traces):
                trace = traces[place]
                label = trace.manifest.name or source.label
                key = f"{UPLOAD}{source.id}:{place}"
                found.append(StreamedRun(key, label, "upload", path, lambda trace=trace: trace))
    return found


def _of_snapshots(source: Source, position: int) -> StreamedRun | None:
    trace = source.found.traces[position]
    path = snapshots.target(source, trace)
    if path is None or not snapshots.is_enough(trace):
        return None
    return StreamedRun(
        f"{UPLOAD}{source.id}:snapshots-{position}",
        trace.manifest.name or source.label,
        "snapshots",
        path,
        lambda: trace,
        make=partial(snapshots.make, source, path),
        remark=snapshots.remark(trace),
    )


def without_snapshots(logs: OpenLogs) -> list[tuple[str, str]]:
    """Name of each uploaded run of FOAM's artifact that cannot be replayed, and why, with what to do."""
    traces = [trace for source in list(logs.sources) for trace in source.found.traces]
    return [(trace.manifest.name, words) for trace in traces if (words := snapshots.why_not(trace))]


def _lanes(source: Source, path: Path, count: int) -> list[Path]:
    """The bundles of an upload, each by itself: those of a run of several lanes are taken out of its zip file once."""
    if path.is_dir() or source.folder is None or count < 2:
        return [path]
    try:
        prefixes = archives.bundles_in(path)
        if len(prefixes) != count:  # not every lane kept its factors: nobody knows which are whose
            return [path] if len(prefixes) == 1 else []
        taken = []
        for place, prefix in enumerate(prefixes):
            target = source.folder / f"{path.stem}.taken-out.{place}.zip"
            if not target.exists():
                archives.take_out(path, prefix, target)
            taken.append(target)
    except (OSError, zipfile.BadZipFile, BundleError):
        return []
    return taken


def find(key: str, owner: str, logs: OpenLogs) -> StreamedRun | None:
    """The run of a key; None where it is not there, or has no stream."""
    if key.startswith(SAMPLE):
        return next((run for run in samples() if run.key == key), None)
    if key.startswith(UPLOAD):
        return next((run for run in uploaded(logs) if run.key == key), None)
    view_id, _, lane = key.partition(":")
    if not store.is_identity(view_id) or not lane.isdigit() or len(lane) > 1:
        return None
    mine = next((run for run in own(owner) if run.key == key), None)
    return mine or _lane(view_id, int(lane))
