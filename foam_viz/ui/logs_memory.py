"""What users said about columns, remembered: the next log with the same columns of the same format reads the same.

One small JSON file in the data directory, keyed by a digest of the format and the set of column names. Strict JSON,
bounded in size; a file that cannot be used is set aside aloud, never guessed at.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile

from foam_viz.logs.reader import ColumnRule
from foam_viz.trace import Trace, strict_json

VERSION = 1
MOST_ENTRIES = 200
MOST_BYTES = 512 * 1024
_MOST_COLUMNS = 200
_LONGEST = 300

Rules = dict[str, ColumnRule]


def shape_of(trace: Trace) -> str:
    """Digest of a run's format and the set of its source columns; empty where the reader named no columns."""
    names = sorted(str(column.get("source", "")) for column in trace.manifest.source_columns)
    if not names:
        return ""
    text = "\0".join([trace.manifest.format, *names])
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


class ColumnMemory:
    """The remembered rules, read at each question so that several servers may share them.

    Args:
        path: The file; made when something is first remembered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._lock = threading.Lock()

    def rules(self, shape: str) -> Rules:
        """The rules for runs of that shape; empty for none. :attr:`problem` says why the file cannot be used."""
        with self._lock:
            return dict(self._load().get(shape, {}))

    def remember(self, shape: str, rules: Mapping[str, ColumnRule]) -> None:
        """Keep rules; none forgets the shape. The oldest entries go when there are too many.

        A disk that cannot be written is told in :attr:`problem`; the rules hold for the session all the same.
        """
        with self._lock:
            entries = self._load()
            entries.pop(shape, None)
            if rules:
                entries[shape] = dict(list(rules.items())[:_MOST_COLUMNS])
            while len(entries) > MOST_ENTRIES:
                entries.pop(next(iter(entries)))
            text = _dumps(entries)
            while len(text.encode()) > MOST_BYTES and entries:
                entries.pop(next(iter(entries)))
                text = _dumps(entries)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with NamedTemporaryFile("w", dir=self.path.parent, prefix=".", delete=False, encoding="utf-8") as part:
                    part.write(text)
                os.replace(part.name, self.path)
            except OSError as error:
                self.problem = f"Corrections of columns could not be remembered in {self.path.name}: {error.strerror}."

    def _load(self) -> dict[str, Rules]:
        self.problem = ""
        try:
            size = self.path.stat().st_size
            if size > MOST_BYTES:
                raise ValueError(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
            return _entries(strict_json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.problem = (
                f"Remembered corrections of columns are not used: {self.path.name} cannot be read ({reason}). "
                "The next correction replaces the file."
            )
            return {}


def _dumps(entries: Mapping[str, Rules]) -> str:
    plain = {
        shape: {name: {"target": rule.target, "unit": rule.unit, "scale": rule.scale} for name, rule in rules.items()}
        for shape, rules in entries.items()
    }
    return json.dumps({"version": VERSION, "columns": plain}, allow_nan=False, indent=1, ensure_ascii=False)


def _entries(document: object) -> dict[str, Rules]:
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"it is not a list of corrections of version {VERSION}")
    columns = document.get("columns")
    if not isinstance(columns, dict):
        raise ValueError("columns must be an object")
    return {
        shape: {name: _rule(name, rule) for name, rule in _object(shape, rules).items()}
        for shape, rules in list(columns.items())[-MOST_ENTRIES:]
    }


def _object(name: str, value: object) -> dict:
    if not isinstance(value, dict) or len(value) > _MOST_COLUMNS:
        raise ValueError(f"{name[:40]} must be an object with at most {_MOST_COLUMNS} columns")
    return value


def _rule(name: str, value: object) -> ColumnRule:
    rule = _object(name, value)
    target, unit, scale = rule.get("target"), rule.get("unit", ""), rule.get("scale", 1.0)
    texts = all(isinstance(text, str) and len(text) <= _LONGEST for text in (name, target, unit))
    number = isinstance(scale, int | float) and not isinstance(scale, bool) and math.isfinite(scale) and scale != 0
    if not texts or not number:
        raise ValueError(f"the rule of column {name[:40]!r} is not target, unit and a scale other than 0")
    return ColumnRule(target=target, unit=unit, scale=float(scale))
