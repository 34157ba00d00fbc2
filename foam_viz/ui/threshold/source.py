"""What the board of the threshold lab subscribes to: a run and its what-ifs at one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from foam_viz.analysis.replay import Replay
from foam_viz.analysis.study import FIRST_TRUTH, OWN, Study, Truth
from foam_viz.figures.scene import Lane
from foam_viz.figures.threshold.catalogue import panels_of
from foam_viz.trace.counts import refreshes
from foam_viz.trace.final import final_of
from foam_viz.trace.numbers import number
from foam_viz.ui.board.board import LaneChip, LaneState
from foam_viz.ui.feed.recorded import GONE
from foam_viz.ui.feed.source import Gone, Moment, Status, incarnation_of, moment_of
from foam_viz.ui.threshold.truths import Truths
from foam_viz.ui.threshold.workbench import Workbench

_COLUMNS = {
    "Decompositions": "Eigendecompositions of all factors, of so many checks.",
    "Loss": "Training loss, mean of the last 20 steps; a replay trains nothing, so it has none.",
    "Error left": "Distance of the inverse root used to a fresh one at ε₀, relative, mean over all checks.",
    "Staleness": "The part that an old basis leaves at equal damping; heavy damping hides it.",
    "Damping": "The part that damping leaves of a fresh basis.",
    "Damped": "Directions of a factor under the damping in force, mean over checks.",
    "Kernels": "Projected seconds of decompositions, measures and rebuilds on this machine.",
}
_NEAR = "Decisions within 1 % of their threshold: a slightly different run might have decided otherwise."


class ReplaySource:
    """A workbench as the feed sees it.

    Args:
        source: Id of the source.
        bench: What is looked at.
    """

    def __init__(self, source: str, bench: Workbench) -> None:
        self.id, self._bench = source, bench
        self._tell: Callable[[], None] | None = None
        self._forgotten = False

    def forget(self) -> None:
        """Show nothing from now on; pages that show it are told."""
        self._forgotten = True

    def listen(self, tell: Callable[[], None] | None) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`. Progress is asked for: it comes without being told."""
        bench = self._bench
        with bench.lock:
            bench.listeners.discard(self._heard)
            self._tell = tell
            if tell is not None:
                bench.listeners.add(self._heard)
        return False

    def _heard(self) -> None:
        if (tell := self._tell) is not None:
            tell()

    def watch(self, *, hidden: bool) -> None:
        """See :class:`foam_viz.ui.feed.source.Source`."""

    def urgent(self) -> object:
        """See :class:`foam_viz.ui.feed.source.Source`. A move is shown at once."""
        return self._bench.revision

    def changed(self, moment: Moment) -> bool:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        return self._forgotten or self._number != moment.revision

    @property
    def _number(self) -> int:
        return 1000 * self._bench.revision + int(999 * self._bench.preparation.share)

    def moment(self) -> Moment:
        """See :class:`foam_viz.ui.feed.source.Source`."""
        if self._forgotten:
            raise Gone(GONE)
        bench = self._bench
        with bench.lock:
            revision, lanes, study, phase = self._number, bench.lanes(), bench.study, bench.phase
            status = _status(bench)
        made = moment_of(
            self.id,
            incarnation_of([lanes[0].trace], self.id),
            revision,
            lanes,
            lambda shown, at: (_chips(shown, study), status),
            panels=panels_of(study, has_loss=any(lane.trace.has("steps", "loss") for lane in lanes)),
            followed=[0 if lane.trace.manifest.factors else None for lane in lanes],
            outline=phase,
        )
        return replace(made, passed=-1)  # another setting changes the past of the what-if


def _status(bench: Workbench) -> Status:
    preparation, study = bench.preparation, bench.study
    if bench.problem:
        return [("", "not replayed", bench.problem)]
    if preparation.share < 1:
        words = preparation.words
        return [("Preparing", f"{preparation.share:.0%}", words), ("", words, words)]
    what_if = study.what_if
    if what_if is None:
        return [("", "replaying", "The chosen setting is being replayed.")]
    words = (
        "The recorded setting: these are the run's own decisions, computed anew."
        if what_if.exact
        else "Decided about the factors as recorded; another setting would have moved the parameters elsewhere."
    )
    return [
        ("Replay", "exact" if what_if.exact else "open loop", words),
        ("Checks", f"{what_if.checks:,}", "Checks of all factors under the chosen setting."),
        ("Near-ties", f"{what_if.near_ties:,}", _NEAR),
        *_truth(bench.truths),
    ]


def _truth(truths: Truths) -> Status:
    if words := truths.failure:
        return [("Training", "failed", f"The setting was not trained: {words}. Move a slider to try again.")]
    if words := truths.waits:
        return [("Training", "waits", f"The setting is not trained yet: {words}.")]
    return []


def _chips(lanes: Sequence[Lane], study: Study) -> list[LaneChip]:
    replays = dict(study.replays)
    rows = []
    trained = {truth.seed: truth for truth in study.truths if study.what_if and truth.setting == study.what_if.setting}
    for lane in lanes:
        if lane.position >= FIRST_TRUTH:
            truth = trained.get(lane.trace.manifest.config["run_settings"]["seed"])
            cells = _trained(truth) if truth else _cells(lane, None)
            rows.append(LaneChip(lane.position, lane.label, cells, "trained" if truth and truth.done else "running"))
        else:
            replay = replays.get(lane.position)
            rows.append(LaneChip(lane.position, lane.label, _cells(lane, replay), _state(lane, replay)))
    return rows


def _trained(truth: Truth) -> list[tuple[str, str, str]]:
    """The row of a run that was really trained: beside its decompositions, by how much the replay was wrong."""
    values: dict[str, tuple[str, str]] = dict.fromkeys(_COLUMNS, ("–", ""))
    done = f"{truth.decompositions:,}"
    if (off := truth.off) is not None:
        words = f"{truth.predicted:,} were predicted in open loop, {off:+.1%} of what came."
        values["Decompositions"] = f"{done} · predicted {off:+.0%}", words
    else:
        values["Decompositions"] = f"{done} by step {truth.step:,}", f"Of {truth.steps:,} steps; still training."
    values["Error left"] = number(truth.error_left), "Of its own factors, computed when it had ended."
    values["Kernels"] = number(truth.kernel_seconds, "s"), _COLUMNS["Kernels"]
    values["Loss"] = number(truth.loss), "Training loss, mean of the last 20 steps."
    return [(name, text, words or _COLUMNS[name]) for name, (text, words) in values.items()]


def _state(lane: Lane, replay: Replay | None) -> LaneState:
    if lane.position == OWN:
        return "recorded"
    if replay is None:
        return "waiting"
    return "exact" if replay is not None and replay.exact else "open loop"


def _cells(lane: Lane, replay: Replay | None) -> list[tuple[str, str, str]]:
    values = dict.fromkeys(_COLUMNS, "–")
    if lane.position == OWN and (counted := refreshes(lane.trace)) is not None:
        values["Decompositions"] = number(counted.decompositions)
    if lane.position == OWN and lane.trace.has("steps", "loss"):
        values["Loss"] = number(final_of(lane.trace, "loss").value)
    if replay is not None:
        done = replay.decompositions if lane.position != OWN or replay.exact else None
        if done is not None:
            values["Decompositions"] = f"{done:,} of {replay.checks:,}"
        values["Error left"] = number(replay.error_left)
        values["Staleness"] = number(replay.mean("staleness_error"))
        values["Damping"] = number(replay.mean("damping_error"))
        values["Damped"] = number(replay.mean("directions_damped"))
        values["Kernels"] = number(replay.kernel_seconds, "s")
    return [(name, values[name], words) for name, words in _COLUMNS.items()]
