"""What happens when an engine dies, falls silent or is held up by one run. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.server.placement import Placement
from foam_viz.engine.server.pool import EnginePool

_CRASHES = 3
# A group that holds a shared engine up for so long is taken to one of its own; the others are back in seconds.
HELD_UP_SECONDS = 5.0
_TOO_LONG = "its steps are too long to share one"


class Recovery:
    """Gives the runs of a lost engine to the one in its place, and ends engines that one run holds up.

    Args:
        pool: The engines.
        placement: Gives runs to them.
        runs: All runs of the hub by view id.
        end: Called with a run and a message, under the run's lock, where no engine shall hold it any more.
    """

    def __init__(
        self,
        pool: EnginePool,
        placement: Placement,
        runs: Mapping[str, LabRun],
        end: Callable[[LabRun, str], None],
    ) -> None:
        self._pool, self._placement, self._runs, self._end = pool, placement, runs, end
        self._busy: dict[int, tuple[str, float]] = {}

    def note(self, engine: int, view_id: str | None, seconds: float) -> None:
        """An engine says what it does and for how long it has."""
        self._busy.pop(engine, None)
        if view_id:
            self._busy[engine] = view_id, seconds

    def on_lost(self, engine: int, crashes: int, why: str) -> None:
        """Gives the runs of an engine that was lost to the one in its place."""
        busy, seconds = self._busy.pop(engine, ("", 0.0))
        for run in [run for run in list(self._runs.values()) if run.engine == engine and not run.gone]:
            with run.lock:
                alone = engine >= len(self._pool)
                culprit = run.view_id == busy and seconds >= HELD_UP_SECONDS
                if crashes >= (_CRASHES - 1 if alone else _CRASHES) or (alone and culprit):
                    self._end(run, _hopeless(why, crashes, too_slow=alone and culprit))
                    run.touch()
                    continue
                run.say(
                    f"The training process {why} and was replaced. The run continues from its last autosave, and is "
                    f"trained again up to step {run.reached:,}."
                )
                if culprit:
                    self._placement.isolate(run, _TOO_LONG)
                self._placement.take_over(run)

    def on_dropped(self, run: LabRun) -> None:
        """A run has left an engine that it shared."""
        if run.moving:
            self._placement.isolate(run, _TOO_LONG)
            self._placement.take_over(run)

    def free_held_up(self) -> None:
        """Ends an engine that one run holds up for too long; the others go on without it."""
        step_seconds = self._placement.settings.step_seconds
        for engine, (view_id, seconds) in list(self._busy.items()):
            if engine < len(self._pool):
                others = any(run.engine == engine and run.view_id != view_id for run in list(self._runs.values()))
                if seconds > HELD_UP_SECONDS and others:
                    self._pool.end(engine, f"was held up by another run for {seconds:.0f} s")
            elif seconds > max(step_seconds, HELD_UP_SECONDS):
                self._pool.end(engine, f"took longer than {step_seconds:g} s for a step (step_seconds)")


def _hopeless(why: str, crashes: int, *, too_slow: bool) -> str:
    if too_slow:
        return (
            f"The training process {why} and was ended. The run is paused at its last autosave; a smaller model or "
            "batch makes shorter steps."
        )
    return (
        f"The training process {why}, {crashes} times within a minute. The run is paused at its last autosave; a "
        "smaller batch may help."
    )
