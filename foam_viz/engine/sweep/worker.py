"""Trains one run of a sweep, in a process of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SAVE_SECONDS = 2.0
_LOOK_SECONDS = 0.5
UNFINISHED = ".unfinished"


def train(name: str, config: Mapping[str, Any], out: str, stream: bool, stop: str) -> dict[str, Any]:
    """Trains a run and saves it as a bundle that appears when it is whole.

    Args:
        name: Its folder below ``out``.
        config: Of the run.
        out: Folder of the sweep, which all workers share.
        stream: Whether the factor stream is kept.
        stop: A file; training ends, unfinished, when it appears.

    Returns:
        Status (``finished``, ``diverged`` or ``stopped``) and seconds.
    """
    import torch

    from foam_viz.engine.worker.run import Run
    from foam_viz.engine.worker.stream_saver import StreamSaver
    from foam_viz.trace.disk.autosave import Autosave

    torch.set_num_threads(1)
    began = time.monotonic()
    final, folder = Path(out) / name, Path(out) / (name + UNFINISHED)
    shutil.rmtree(folder, ignore_errors=True)
    run = Run(config, run_id=f"sweep-{name}"[:64], device="cpu", stream=stream)
    autosave = Autosave(folder, run.manifest(name=name))
    streamed = StreamSaver(run, folder)
    run.status = "running"
    saved = looked = began
    while run.live:
        run.advance()
        now = time.monotonic()
        if now - looked >= _LOOK_SECONDS:
            looked = now
            if Path(stop).exists():
                return {"status": "stopped", "seconds": now - began}
        if now - saved >= _SAVE_SECONDS or not run.live:
            saved = now
            streamed.save()
            for table, rows in run.drain().items():
                autosave.append(table, rows)
            autosave.flush()
    autosave.write_manifest(run.manifest(name=name))
    if final.exists():
        shutil.rmtree(final)
    folder.rename(final)
    return {"status": run.status, "seconds": time.monotonic() - began}
