"""The replay engine: a child process that computes replays, one command after the other.

It reads commands from its standard input and answers on its standard output. While it prepares a run it looks for a
``Stop``; while nobody asks it computes what is likely to be asked next.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from foam_viz.analysis.calibrate import suggest
from foam_viz.analysis.fronts import reference_settings
from foam_viz.analysis.replay import MAP_ERROR_EVERY, Replay
from foam_viz.analysis.replay_setting import NoReplay, default_map, tau_and_cap
from foam_viz.engine.replay import commands
from foam_viz.engine.replay.commands import Calibrate, Command, Prepare, RunSetting, Stop, Summarize
from foam_viz.engine.replay.plan import Plan, prepare_path
from foam_viz.engine.wire import protocol
from foam_viz.optim.fields import FieldError
from foam_viz.trace.disk.bundle import BundleError

_WARM_SECONDS = 20.0
"""Of processor time that are spent on a run before anybody asks."""
KEPT_BYTES = 500_000_000
"""Of all runs that are ready, less what lies in files; those not asked for longest go."""


class Stopped(Exception):
    """The page asked to stop."""


class ReplayEngine:
    """Answers commands.

    Args:
        incoming: Where commands come from.
        outgoing: Where answers go.
    """

    def __init__(self, incoming: Connection, outgoing: Connection) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._warming: dict[str, Iterator[None]] = {}
        self._waiting: deque[tuple[int, Command]] = deque()

    def serve(self) -> None:
        """Until the other side hangs up."""
        while True:
            try:
                self._read(block=not self._waiting and not self._warm())
                if self._waiting:
                    self._answer(*self._next())
            except (EOFError, OSError):  # nobody is there to hear an answer
                return

    def _next(self) -> tuple[int, Command]:
        """Take what is answered next: a move before whatever takes longer."""
        place = next((i for i, (_, command) in enumerate(self._waiting) if isinstance(command, RunSetting)), 0)
        chosen = self._waiting[place]
        del self._waiting[place]
        return chosen

    def _read(self, *, block: bool) -> None:
        while block or self._incoming.poll():
            header, _ = protocol.receive(self._incoming)
            block = False
            try:
                self._waiting.append((header.pop("number"), commands.from_json(header)))
            except (KeyError, TypeError, FieldError) as error:
                self._send(header.get("number", -1), "refused", reason=str(error), remedy="")

    def _warm(self) -> bool:
        """Compute a little of what is likely to be asked next; whether there was anything."""
        for path, work in list(self._warming.items()):
            if next(work, self) is self:
                del self._warming[path]
            return True
        return False

    def _answer(self, number: int, command: Command) -> None:
        if isinstance(command, RunSetting) and any(_replaces(newer, command) for _, newer in self._waiting):
            self._send(number, "superseded")
            return
        try:
            self._carry_out(number, command)
        except Stopped:
            self._send(number, "stopped")
        except NoReplay as error:
            self._send(number, "refused", reason=error.reason, remedy=error.remedy)
        except BundleError as error:
            self._send(number, "refused", reason=error.reason, remedy=error.remedy)
        except FieldError as error:
            self._send(number, "refused", reason=str(error), remedy="", field=error.field)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 (one command must not end the engine of all)
            traceback.print_exc()
            remedy = "Report it with the run, if it happens again."
            self._send(number, "refused", reason=f"the replay failed: {type(error).__name__}: {error}", remedy=remedy)

    def _carry_out(self, number: int, command: Command) -> None:
        if isinstance(command, Stop):
            self._forget(command.path)
            self._send(number, "done")
            return
        plan = self._plan(number, command.path)
        if isinstance(command, Prepare):
            grid = plan.recording.grid
            self._send(
                number,
                "done",
                own=plan.own.to_json(),
                known=grid.own is not None,
                period=grid.period,
                periods=grid.periods[:200],
                first=grid.first,
                last=grid.last,
                stride=grid.spacing.stride,
                every=grid.spacing.every,
                notes=plan.recording.notes,
            )
        elif isinstance(command, RunSetting):
            self._send_replay(number, plan.run(command.setting, updates=command.updates))
        elif isinstance(command, Summarize):
            found = plan.summaries(command.settings, error_every=command.error_every)
            self._send(number, "done", summaries=[summary.to_json() for summary in found])
        elif isinstance(command, Calibrate):
            spectra = plan.spectra()
            suggestion = suggest(spectra, plan.own)
            self._send(number, "done", suggestion=suggestion.to_json(), quantiles=list(spectra.quantiles),
                       smallest=spectra.smallest)  # fmt: skip

    def _send_replay(self, number: int, replay: Replay) -> None:
        told = {
            "setting": replay.setting.to_json(),
            "exact": replay.exact,
            "factors": list(replay.factors),
            "near_ties": replay.near_ties,
            "kernel_seconds": replay.kernel_seconds,
            "updates": [dict(row) for row in replay.updates],
            "notes": list(replay.notes),
        }
        protocol.send(
            self._outgoing, {"number": number, "kind": "done", **told}, {"table": replay.table, "course": replay.course}
        )

    def _plan(self, number: int, path: str) -> Plan:
        if path in self._plans:
            self._plans.move_to_end(path)
            return self._plans[path]

        def progress(share: float, words: str) -> None:
            self._send(number, "progress", share=share, words=words)
            self._read(block=False)
            stops = [item for item in self._waiting if item[1] == Stop(path)]
            if stops:
                for item in stops:
                    self._waiting.remove(item)
                    self._send(item[0], "done")
                raise Stopped
            self._answer_meanwhile()

        plan = self._plans[path] = prepare_path(path, progress)
        self._warming[path] = _likely(plan)
        while len(self._plans) > 1 and sum(one.bytes for one in self._plans.values()) > KEPT_BYTES:
            self._forget(next(iter(self._plans)))
        return plan

    def _answer_meanwhile(self) -> None:
        """Answer what is asked of runs that are ready while another is prepared: all moves, and one longer question."""
        longer = 0
        for item in [item for item in self._waiting if item[1].path in self._plans]:
            longer += not isinstance(item[1], RunSetting)
            if isinstance(item[1], RunSetting) or longer == 1:
                self._waiting.remove(item)
                self._answer(*item)

    def _forget(self, path: str) -> None:
        self._warming.pop(path, None)
        if (plan := self._plans.pop(path, None)) is not None:
            plan.close()

    def _send(self, number: int, kind: str, **told: Any) -> None:
        protocol.send(self._outgoing, {"number": number, "kind": kind, **told})


def _replaces(newer: Command, older: RunSetting) -> bool:
    """Whether an asker moved on before an older setting was replayed; the run's own is nobody's move."""
    if not isinstance(newer, RunSetting) or newer.setting is None or older.setting is None:
        return False
    return (newer.path, newer.asker, newer.updates) == (older.path, older.asker, older.updates)


def _likely(plan: Plan) -> Iterator[None]:
    """Replays that are likely to be asked for, one a step: what they share with others is kept."""
    began = time.process_time()
    for _ in plan.warm():
        if time.process_time() - began > _WARM_SECONDS:
            break
        yield
    own = plan.own
    settings = [*tau_and_cap(own, *default_map(own)), *reference_settings(own, plan.recording.grid)]
    for setting in settings:
        try:
            plan.summaries([setting], error_every=MAP_ERROR_EVERY)
        except FieldError:  # nobody asked for it
            continue
        yield


def main() -> None:
    """Serve the process that started this one."""
    torch.set_num_threads(1)
    incoming = Connection(os.dup(sys.stdin.fileno()), writable=False)
    outgoing = Connection(os.dup(sys.stdout.fileno()), readable=False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what somebody prints is no answer
    ReplayEngine(incoming, outgoing).serve()


if __name__ == "__main__":
    main()
