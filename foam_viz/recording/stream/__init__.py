"""The factor stream: chosen factors, and the gradients of their parameters, kept whole under a byte cap.

It is no table of a trace. It lies beside the tables, in ``stream/`` of the bundle's directory, where readers of bundles
pass it over; :func:`read` reads it. See "Factor stream" in ``docs/trace.md``.
"""

from foam_viz.recording.stream.archives import pack
from foam_viz.recording.stream.model import Sample, Spacing, Stream
from foam_viz.recording.stream.reading import Record, open_large, read, size_of

__all__ = ["Record", "Sample", "Spacing", "Stream", "open_large", "pack", "read", "size_of"]
