"""Readers of other programs' training logs: one file a format, each turns bytes into traces.

``read`` and ``read_all`` parse in the process that calls them; files of strangers go through
``foam_viz.logs.intake.safe``.
Exports are lazy: who needs only one of them, or the types, loads no reader.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "ColumnRule": "core.reader",
    "Limits": "intake.limits",
    "LogError": "core.reader",
    "LogFile": "core.reader",
    "Options": "core.reader",
    "Problem": "core.reader",
    "Reader": "core.reader",
    "Reading": "core.reader",
    "read": "core.reading",
    "read_all": "core.reading",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value
