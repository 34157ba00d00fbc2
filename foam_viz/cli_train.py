"""``python -m foam_viz train``: one run without a browser, saved whatever ends it."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from foam_viz import settings
from foam_viz.engine.worker.stream_saver import StreamSaver
from foam_viz.experiment import config, cost, edits
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import archives
from foam_viz.recording.stream.writing import RUN_BYTES
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.autosave import Autosave, AutosaveError
from foam_viz.trace.disk.bundle import BundleError
from foam_viz.trace.model import Trace

if TYPE_CHECKING:
    from foam_viz.engine.worker.run import Run

DEFAULTS = {"steps": "600", "seed": "0"}
"""Options that are settings too, so ``--steps 900`` and ``--set steps=900`` mean the same."""

UNFINISHED = ".unfinished"
"""What the name of the folder beside a zip ends in, while its run trains."""

_OPTIONS = ("task", "optimizer", "device", "out", "quiet", "stream")
_SAVE_SECONDS = 1.0
_BAR = 30


def run_config(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of the run, complete and checked.

    Raises:
        FieldError: An assignment that is none, is given twice or contradicts an option, or a value out of its range.
    """
    named: dict[str, str] = {}
    for text in options.assignments:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            raise FieldError("--set", text or "''", "KEY=VALUE, for example lr=1e-2")
        if key in _OPTIONS:
            raise FieldError("--set", text, f"a setting; --{key} is an option of its own")
        if key in named:
            raise FieldError(f"--set {key}", value, f"given once; {key} = {named[key]} came before")
        named[key] = value
    fields = {field.name: field for field in config.RUN_FIELDS}
    for key, default in DEFAULTS.items():
        given = getattr(options, key)
        if given is not None and key in named and fields[key].parse(given) != fields[key].parse(named[key]):
            raise FieldError(f"--set {key}", named[key], f"the same as --{key} {given}, or left out")
        named.setdefault(key, default if given is None else given)
    named.setdefault("decay_steps", named["steps"])
    for_optimizer, for_task, for_run = config.route(options.task, options.optimizer, named.items())
    changed = [edits.read(text, "--edit") for text in options.edits]
    if twice := next(
        (one for position, one in enumerate(changed) if one.key in {e.key for e in changed[:position]}), None
    ):
        raise FieldError(f"--edit {twice.key}", twice.value, "given once")
    experiment, errors = config.build(
        options.task, for_task, for_run, [(options.optimizer, for_optimizer)], edited=changed
    )
    if errors:
        raise errors[0]
    installation = settings.load()
    on_cpu = (options.device or installation.device) in ("auto", "cpu")
    for error in cost.review(experiment, installation, on_cpu=on_cpu):
        print(f"warning: the live lab would not train this: {error}", file=sys.stderr)
    if options.stream:
        kept = cost.stream(experiment, 0, RUN_BYTES)
        if kept is None:
            remedy = "leave it out, or choose one of " + ", ".join(n for n, s in OPTIMIZERS.items() if s.is_replayable)
            raise FieldError("--stream", options.optimizer, "used with an optimizer that has damped factors", remedy)
        print(kept.words, file=sys.stderr)
    return experiment.lane_config(0)


class Target:
    """Where a run goes: a bundle directory that grows while it trains, or a zip file made of one at the end.

    The directory of a zip lies beside it, so a run that is killed leaves what it had recorded.

    Args:
        text: What was asked for.

    Raises:
        FieldError: It is in use, or no name of a file or folder.
    """

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise FieldError("--out", repr(text), "the name of a new directory, or of a .zip that does not exist")
        self.path = Path(text)
        self.as_zip = self.path.suffix.lower() == ".zip"
        # Names on the disk may be no text; the name of a run is.
        name = self.path.stem if self.as_zip else self.path.name
        self.name = name.encode(errors="surrogateescape").decode(errors="replace")
        empty = self.path.is_dir() and not self.as_zip and not any(self.path.iterdir())
        if self.path.is_symlink() or (self.path.exists() and not empty):
            allowed = "a directory that is new or empty, or a .zip that does not exist"
            raise FieldError("--out", str(self.path), allowed)
        self.folder = self.path.with_name(self.path.name + UNFINISHED) if self.as_zip else self.path
        if self.as_zip and self.folder.exists():
            allowed = f"a .zip that no other run is making or was making when it ended: {self.folder} is there"
            remedy = "inspect that folder, then move or delete it; or choose another name"
            raise FieldError("--out", str(self.path), allowed, remedy)
        self._autosave: Autosave | None = None
        self._trace: Trace | None = None
        self._told = False
        self._stream: StreamSaver | None = None

    def create(self, run: Run) -> None:
        """Write the run's beginning, so that a place that cannot be written to is known before it trains.

        Raises:
            AutosaveError: It cannot.
        """
        self._trace = Trace.empty(run.manifest(name=self.name))
        self._autosave = Autosave(self.folder, self._trace.manifest)
        try:
            self._stream = StreamSaver(run, self.folder)
        except OSError as error:
            raise AutosaveError(self.folder, str(error.strerror or error), "Choose another place.") from error

    def save(self, run: Run) -> None:
        """Take the new rows. A disk that is full now may have room again later; it is said once."""
        assert self._trace is not None and self._autosave is not None and self._stream is not None
        try:
            self._stream.save()
        except OSError as error:
            self._tell(f"The factor stream cannot be written: {error.strerror or error}.")
        for table, rows in run.drain().items():
            self._trace.append(table, rows)
            self._autosave.append(table, rows)
        try:
            self._autosave.flush()
        except AutosaveError as error:
            self._tell(str(error))

    def _tell(self, problem: str) -> None:
        if not self._told:
            print(f"\nwarning: {problem} Training goes on; saving is tried again.", file=sys.stderr)
        self._told = True

    def finish(self, run: Run) -> tuple[Trace, Path]:
        """Write what is left and how the run ended; into a temporary folder where its own place fails.

        Returns:
            The trace, and where it is.

        Raises:
            BundleError: Neither could be written.
        """
        self.save(run)
        assert self._trace is not None and self._autosave is not None
        self._trace.manifest = run.manifest(name=self.name)
        try:
            self._autosave.flush()
            self._autosave.write_manifest(self._trace.manifest)
        except AutosaveError as error:
            elsewhere = Path(tempfile.mkdtemp(prefix="foam_viz-")) / "run"
            bundle.write(self._trace, elsewhere)
            self._say_saved(error, elsewhere)
            return self._trace, elsewhere
        if self.as_zip:
            try:
                if self.path.exists():
                    raise BundleError(self.path, "is there by now", "It is left as it is.")
                bundle.write(self._trace, self.path)
                archives.add_to(self.path, self.folder)
            except BundleError as error:
                self._say_saved(error, self.folder)
                return self._trace, self.folder
            shutil.rmtree(self.folder, ignore_errors=True)
        return self._trace, self.path

    def _say_saved(self, error: Exception, place: Path) -> None:
        print(f"\nerror: {error} The run was saved as {place} instead.", file=sys.stderr)


class Interrupt:
    """Lets a run end between two steps at Ctrl-C, or when the system asks; a second time ends it at once."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number


def build(chosen: dict[str, Any], device: str | None, *, stream: bool = False) -> Run:
    """The run, on a device that is there.

    Raises:
        FieldError: The device is not there, or a file that the task needs cannot be used.
        SettingsError: The installation's configuration cannot be used.
    """
    named, device = device, device or settings.load().device
    import torch

    from foam_viz.device import available
    from foam_viz.engine.worker.run import Run

    there = [info.name for info in available()]
    if device not in ("auto", *there):
        allowed = (
            f"one of auto, {', '.join(there)}: torch finds no {device.upper()} device on this machine. A driver, or a "
            "torch built for it, may be missing"
        )
        raise FieldError("--device" if named else "device", device, allowed)
    torch.set_num_threads(1)  # small matrices: more threads cost more than they give, and runs stay reproducible
    return Run(chosen, run_id=secrets.token_hex(16), device=device, stream=stream)


def train(run: Run, target: Target, interrupt: Interrupt, *, quiet: bool) -> None:
    """Trains to the end, or to an interrupt, saving about every second."""
    steps = run.config["run_settings"]["steps"]
    run.status = "running"
    began = saved = time.monotonic()
    while run.live and not interrupt.number:
        run.advance()
        now = time.monotonic()
        if now - saved >= _SAVE_SECONDS or not run.live:
            saved = now
            target.save(run)
            if not quiet:
                _progress(run.step, steps, now - began)
    if run.live:
        run.status = "interrupted"


def _progress(step: int, steps: int, seconds: float) -> None:
    done = round(_BAR * step / steps)
    rate = step / seconds if seconds else 0.0
    print(
        f"\r[{'#' * done}{'.' * (_BAR - done)}] step {step:,} of {steps:,}  {rate:,.0f} steps/s ",
        end="",
        file=sys.stderr,
        flush=True,
    )
