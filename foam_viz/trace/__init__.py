"""The data model of a run and its files.

``Writer`` and ``Stream``, which record a run, live in :mod:`foam_viz.recording`; they are found here too, when they are
asked for.
"""

from importlib import import_module
from typing import Any

from foam_viz.trace.batches import SchemaError, record_batch
from foam_viz.trace.disk.autosave import Autosave, AutosaveError
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.manifest import FactorInfo, Manifest, ManifestError
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import DECISIONS, SCHEMA_VERSION, TABLES
from foam_viz.trace.summary import summarize
from foam_viz.trace.view import Snapshot, TraceView

_LATE = {"Stream": "foam_viz.recording.stream", "Writer": "foam_viz.recording.writer"}

__all__ = [
    "DECISIONS",
    "SCHEMA_VERSION",
    "TABLES",
    "Autosave",
    "AutosaveError",
    "BundleError",
    "FactorInfo",
    "Manifest",
    "ManifestError",
    "SchemaError",
    "Snapshot",
    "Stream",
    "Trace",
    "TraceView",
    "Writer",
    "record_batch",
    "summarize",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LATE[name]), name)
    globals()[name] = value
    return value
