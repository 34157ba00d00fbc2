"""Names and identities of imported runs, and what their configuration says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from foam_viz.logs.core.reader import LogFile

_GENERIC = {
    "metrics", "metric", "log", "logs", "history", "train", "train_log", "training_log", "trainer_state", "output",
    "results", "result", "progress", "stdout", "stderr", "data", "run", "summary", "console", "loss", "main",
}  # fmt: skip
_SUFFIXES = (".csv", ".tsv", ".txt", ".log", ".json", ".jsonl", ".ndjson", ".parquet", ".out", ".err", ".dat")
_IDENTIFYING_BYTES = 256
_OPTIMIZER_KEYS = ("optimizer", "optimizer_type", "optimizer_name", "optim", "opt")


def run_id(group: Sequence[LogFile], index: int = 0) -> str:
    """Return an identity that the same upload gets again, grown or not: a digest of names, first bytes and place."""
    digest = hashlib.sha256()
    for file in group:
        digest.update(f"{file.name}\0".encode(errors="surrogatepass"))
        digest.update(file.head[:_IDENTIFYING_BYTES])
    digest.update(f"\0{index}".encode())
    return digest.hexdigest()[:20]


def run_name(file: LogFile) -> str:
    """Return what to call a run by its file: the file's name, or its folder's where the file's says nothing."""
    stem = file.base
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    folder = file.folder.rpartition("/")[2]
    return folder if folder and stem.lower() in _GENERIC else stem or file.base


def optimizer_of(config: Mapping[str, object]) -> str:
    """Return the optimizer that a configuration names at its top or one level below; empty when it names none."""
    levels = [config, *(value for value in config.values() if isinstance(value, Mapping))]
    for level in levels:
        for key in _OPTIMIZER_KEYS:
            if isinstance(level.get(key), str):
                return str(level[key])
    return ""
