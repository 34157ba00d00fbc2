"""The panels of the threshold lab. A new one is a new file and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from foam_viz.analysis.study import OWN, Study
from foam_viz.figures.catalogue import BY_ID
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Scene
from foam_viz.figures.threshold import errors, front, refreshes, surface, updates

_OF_FACTOR = frozenset({"factor", "lane"})


@dataclass(frozen=True)
class StudyPanel:
    """A panel that draws a study beside the lanes.

    Attributes:
        id, title, help, columns, height, reads: As of :class:`foam_viz.figures.panel.PanelSpec`.
        draw: The panel itself; pure.
    """

    id: str
    title: str
    help: str
    draw: Callable[[Scene, Study], Drawing]
    columns: int
    height: int
    reads: frozenset[str]

    def of(self, study: Study) -> PanelSpec:
        """The panel of one study, as a board takes it."""
        draw = self.draw
        return PanelSpec(
            self.id, self.title, self.help, lambda scene: draw(scene, study), self.columns, self.height, self.reads
        )


STUDY_PANELS: tuple[StudyPanel, ...] = (
    StudyPanel(
        "threshold-recorded",
        "Refreshes as recorded",
        "What the run itself did: a row is one factor, a mark one check. Faint: the basis was reused. Strong: it was "
        "decomposed, coloured by the reason. Click a row to follow that factor.",
        refreshes.draw_recorded,
        columns=6,
        height=340,
        reads=_OF_FACTOR,
    ),
    StudyPanel(
        "threshold-what-if",
        "Refreshes, what if",
        "What the chosen setting would have decided about the factors as they were recorded. Open loop: really "
        "trained, another setting would have moved the parameters elsewhere, and so the factors.",
        refreshes.draw_what_if,
        columns=6,
        height=340,
        reads=_OF_FACTOR,
    ),
    StudyPanel(
        "threshold-trained",
        "Refreshes, as trained",
        "What the chosen setting did when it was trained with the recorded seed: the truth that the what-if foretold.",
        refreshes.draw_trained,
        columns=6,
        height=340,
        reads=_OF_FACTOR,
    ),
    StudyPanel(
        "threshold-errors",
        "Error left",
        "Distance of the inverse root used to a fresh one at ε₀, relative to the fresh one. Staleness: both at ε, the "
        "damping in force. Damping: a fresh one at ε against a fresh one at ε₀. Heavy damping hides staleness, so only "
        "the error in all ranks settings.",
        errors.draw,
        columns=6,
        height=380,
        reads=_OF_FACTOR,
    ),
    StudyPanel(
        "threshold-updates",
        "Error of the update",
        "What the parameters would feel of the inverse roots used, against fresh ones at ε₀. Grafting gives both "
        "updates one length, so it hides a change of scale.",
        updates.draw,
        columns=6,
        height=340,
        reads=frozenset(),
    ),
    StudyPanel(
        "threshold-map",
        "Map of τ and εₘₐₓ",
        "Each cell is a replay under its τ and εₘₐₓ, all else as chosen; arrows point at the chosen one. Errors "
        "here are means over every fifth check. Click a cell to take its setting.",
        surface.draw,
        columns=5,
        height=400,
        reads=frozenset(),
    ),
    StudyPanel(
        "threshold-front",
        "Error against work",
        "Down and left is better. The line joins settings that no other beats in both. Squares are fixed periods, "
        "diamonds the same with the factors taking turns, at the same ε₀ and start. What leaves no error at the "
        "recorded checks lies at the lower edge. Click a point to take its setting.",
        front.draw,
        columns=7,
        height=400,
        reads=frozenset(),
    ),
)  # fmt: skip


def panels_of(study: Study, *, has_loss: bool) -> list[PanelSpec]:
    """The panels of a study in reading order; those of every page stand among them.

    Args:
        study: The study.
        has_loss: Whether some lane has a loss to draw.
    """
    made = {panel.id: panel.of(study) for panel in STUDY_PANELS}
    damping = replace(BY_ID["damping"], columns=6)
    if study.what_if is None:  # until then the recorded run is in front
        damping = replace(damping, draw=partial(_recorded, damping.draw))
    order = [
        made["threshold-recorded"], made["threshold-what-if"], damping, made["threshold-errors"],
        made["threshold-map"], made["threshold-front"],
    ]  # fmt: skip
    trained = study.what_if is not None and any(truth.setting == study.what_if.setting for truth in study.truths)
    if trained:
        order.append(made["threshold-trained"])
    if has_loss:
        order.append(replace(BY_ID["loss"], columns=6, height=340))
    order.append(made["threshold-updates"])
    return order


def _recorded(draw: Callable[[Scene], Drawing], scene: Scene) -> Drawing:
    lanes = [lane for lane in scene.lanes if lane.position == OWN]
    return draw(Scene(lanes, replace(scene.look, lane=OWN)))
