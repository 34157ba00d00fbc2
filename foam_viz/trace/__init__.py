"""The data model of a run, its store on disk, and the writer that saves a run while it trains."""

from foam_viz.trace.autosave import Autosave, AutosaveError
from foam_viz.trace.batches import SchemaError, record_batch
from foam_viz.trace.bundle import BundleError
from foam_viz.trace.manifest import FactorInfo, Manifest, ManifestError
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import DECISIONS, SCHEMA_VERSION, TABLES
from foam_viz.trace.stream import Stream
from foam_viz.trace.summary import summarize
from foam_viz.trace.view import Snapshot, TraceView
from foam_viz.trace.writer import Writer

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
