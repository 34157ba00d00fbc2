"""The table of a comparison: what each run reached, and each group of seeds, with the swatch of its curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.comparison import Row, compare
from foam_viz.analysis.groups import Group, group_runs
from foam_viz.analysis.smoothing import Smoothing
from foam_viz.analysis.spread import Spread, group_row
from foam_viz.analysis.targets import Value
from foam_viz.figures.scene import Lane
from foam_viz.figures.theme import number
from foam_viz.trace.visible import shortened
from foam_viz.ui.board.board import LaneChip, LaneState
from foam_viz.ui.run_logs.origins import origin_of, origin_of_group
from foam_viz.ui.session.logs import Run

_WITHHELD = "withheld"
_CONFIRM = "Runs differ in what time depends on: confirm above."

Cells = list[tuple[str, str, str]]
"""Label, text and explanation, in the order of the columns."""


def smoothing_of(view: Mapping[str, Any]) -> Smoothing:
    """The smoothing chosen."""
    return Smoothing(view["smoothing"], view["scale"])


def table(view: Mapping[str, Any], lanes: Sequence[Lane], baseline: int | None) -> list[Row]:
    """What each run reached of the first metric."""
    if not view["metric"]:
        return [Row() for _ in lanes]
    return compare(
        [lane.trace for lane in lanes],
        view["metric"][0],
        axis=view["x"],
        target=view["target"],
        baseline=baseline,
        smoothing=smoothing_of(view),
        at=view["at"],
    )


def grouped(view: Mapping[str, Any], lanes: Sequence[Lane]) -> list[Group]:
    """The groups that the curves are drawn by: two runs and more each; none where seeds are not grouped."""
    if not view["seeds"]:
        return []
    return [group for group in group_runs([lane.trace for lane in lanes]) if len(group.members) > 1]


def cells(row: Row, view: Mapping[str, Any], withheld: bool) -> Cells:
    """The cells of one run."""
    axis = BY_ID[view["x"]]
    if row.missing:
        found = [("Best", "–", row.missing), ("Last", "–", row.missing)]
    else:
        found = [_value("Best", row.best, "Best value logged"), _value("Last", row.last, "Last value")]
    if view["at"] is not None:
        found.append(_value(_at(view), row.at, "Value at that step, or the last one before it"))
    if view["target"] is None:
        return found
    reach = row.reach
    step = "–" if reach is None else number(int(reach.step)) if reach.reached else "not reached"
    found.append(("Steps to target", step, row.missing if reach is None else reach.words))
    if axis.id != "step":
        if withheld:
            found.append((_to_target(view), _WITHHELD, _CONFIRM))
        else:
            found.append(
                (
                    _to_target(view),
                    number(reach.x, axis.unit) if reach is not None and reach.reached else step,
                    reach.words if reach else row.missing,
                )
            )
    if withheld:
        found.append(("Speed-up", _WITHHELD, _CONFIRM))
    else:
        words = row.speed_up.words if row.speed_up else "–"
        found.append(
            ("Speed-up", words.partition(":")[0], words if row.speed_up else "Choose a baseline and a target.")
        )
    return found


def group_cells(rows: Sequence[Row], view: Mapping[str, Any], withheld: bool) -> Cells:
    """The cells of a group of seeds: mean and standard deviation, in the columns of :func:`cells`."""
    both = group_row(rows)

    def cell(label: str, spread: Spread, what: str) -> tuple[str, str, str]:
        return label, spread.text, f"{what}. {spread.words}."

    found = [cell("Best", both.best, "Best value of each run"), cell("Last", both.last, "Last value of each run")]
    if view["at"] is not None:
        found.append(cell(_at(view), both.at, "Value of each run at that step, or the last one before it"))
    if view["target"] is None:
        return found
    found.append(cell("Steps to target", both.steps, "Over the runs that reached it"))
    if BY_ID[view["x"]].id != "step":
        one = (_to_target(view), _WITHHELD, _CONFIRM)
        found.append(one if withheld else cell(_to_target(view), both.x, "Over the runs that reached it"))
    found.append(("Speed-up", "–", "Speed-ups are computed for single runs only."))
    return found


def _at(view: Mapping[str, Any]) -> str:
    return f"At step {number(int(view['at']))}"


def _to_target(view: Mapping[str, Any]) -> str:
    axis = BY_ID[view["x"]]
    return f"{axis.label[:1].upper()}{axis.label[1:]} to target"


def _value(label: str, value: Value | None, help_text: str) -> tuple[str, str, str]:
    if value is None:
        return label, "–", help_text
    place = f", step {value.step:,.0f}" if value.step == value.step else ""
    exact = f"{value.value:.7g}" if isfinite(value.value) and not value.whole else ""
    return label, value.text, "; ".join(filter(None, [f"{help_text}{place}", value.words, exact])) + "."


def chips(
    runs: Sequence[Run], lanes: Sequence[Lane], rows: Sequence[Row], view: Mapping[str, Any], withheld: bool, most: int
) -> list[LaneChip]:
    """The rows of the table above the panels: each group of seeds before its runs.

    Args:
        runs: The runs compared.
        lanes: The same, as they are drawn.
        rows: What each reached.
        view: What the reader chose.
        withheld: Whether times are withheld.
        most: Rows at most: beyond, groups stand without their runs; without groups to fall back on there are none.
    """
    several = len({origin_of(run) for run in runs}) > 1
    groups = grouped(view, lanes)
    first = {group.members[0]: group for group in groups}
    inside = {member for group in groups for member in group.members}
    single = {
        position: LaneChip(
            lane.position,
            f"· {run.label}" if position in inside else run.label,
            [*cells(row, view, withheld), *([("From", *origin_of(run))] if several else [])],
            cast(LaneState, lane.trace.manifest.status),
        )
        for position, (run, lane, row) in enumerate(zip(runs, lanes, rows, strict=True))
    }
    whole, brief = [], []
    for position, chip in single.items():
        group = first.get(position)
        if group is not None:
            head = _group_chip(group, runs if several else (), lanes, rows, view, withheld)
            brief.append(head)
            whole += [head, *(single[member] for member in group.members)]
        elif position not in inside:
            brief.append(chip)
            whole.append(chip)
    return next((chosen for chosen in (whole, brief) if len(chosen) <= most), [])


def _group_chip(
    group: Group,
    runs: Sequence[Run],
    lanes: Sequence[Lane],
    rows: Sequence[Row],
    view: Mapping[str, Any],
    withheld: bool,
) -> LaneChip:
    """The row of a group; its origin is told where ``runs`` are given."""
    states = {lanes[member].trace.manifest.status for member in group.members}
    found = group_cells([rows[member] for member in group.members], view, withheld)
    if runs:
        name, all_of_it = origin_of_group([runs[member] for member in group.members])
        found.append(("From", name, f"{group.reason}. {all_of_it}"))
    return LaneChip(
        lanes[group.members[0]].position,
        f"{shortened(group.label)}, {len(group.members)} seeds",
        found,
        cast(LaneState, states.pop() if len(states) == 1 else "mixed"),
    )
