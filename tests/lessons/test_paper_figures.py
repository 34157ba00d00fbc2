from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

from foam_viz.experiment import links
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import BY_ID as LESSONS
from foam_viz.lessons.lesson import Place
from foam_viz.lessons.paper_figures import FIGURES, PaperFigure
from foam_viz.ui.lessons import paper_figures as page

FINDINGS = Path(__file__).resolve().parents[2] / "docs" / "findings"


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.id)
class TestEachFigure:
    def test_what_is_drawn_is_there(self, figure: PaperFigure) -> None:
        for dot in figure.dots:
            assert measured.results(dot.study)[dot.place]
        assert all((SAMPLE_RUNS / name).exists() for name in figure.samples.values())
        assert figure.dots or figure.measured or figure.curve
        assert {dot.study for dot in figure.dots} <= {*LESSONS, figure.id}
        for place, stage in enumerate(figure.stages):
            lanes = range(len(stage.experiment().lanes))
            assert len(stage.labels()) == len(lanes)
            assert all(len(measured.results(figure.id)[Place(place, lane)]) == 5 for lane in lanes)

    def test_its_live_run_is_a_valid_link(self, figure: PaperFigure) -> None:
        query: dict[str, list[str]] = {}
        for key, value in page.live_query(figure):
            query.setdefault(key, []).append(value)
        experiment, errors = links.from_query(query)
        assert not errors and len(experiment.lanes) == len((figure.live or figure.stages[0].query)["lane"])

    def test_points_of_the_findings_are_those_of_the_findings(self, figure: PaperFigure) -> None:
        for point in figure.measured:
            runs = json.loads((FINDINGS / f"{point.file}.json").read_text())
            found = [
                run["loss"]
                for name, run in runs.items()
                if name.startswith((f"{point.key},", f"{point.key} "))
                and " 0.005 " in name
                and 20 <= int(name.rsplit(" ", 1)[1]) < 25
            ]
            assert len(found) == 5 and round(mean(found), 3) == point.y, point


def test_what_is_said_of_the_figures_holds() -> None:
    by_id = {figure.id: {row["label"]: row for row in page.dots(figure)} for figure in FIGURES if figure.dots}
    cost = by_id["quality-against-cost"]
    assert cost["FOAM"]["x"] < 0.2 * cost["f = 10"]["x"] and cost["FOAM"]["y"] > cost["f = 10"]["y"]
    foam, fixed, turns = (losses("same-budget", lane) for lane in (0, 1, 3))
    assert measured.verdict(foam, fixed) == "more" and measured.verdict(foam, turns) == "no difference seen"
    assert cost["fixed period"]["y"] < cost["FOAM"]["y"], "that of as many decompositions is drawn"
    grafting = [
        (dot["group"], dot["label"]) for figure in FIGURES for dot in page.dots(figure) if figure.id == "grafting"
    ]
    assert ("ungrafted", "f = 10") in grafting and ("ungrafted", "f = 100") not in grafting, "it diverged"
    seconds = by_id["overhead"]
    assert 0.6 < seconds["f = 200"]["y"] / seconds["f = 10"]["y"] < 0.75
    assert seconds["f = 200"]["x"] < 0.1 * seconds["f = 10"]["x"]


def losses(figure: str, lane: int) -> list[float]:
    return measured.values(measured.results(figure)[Place(0, lane)], "loss")


def test_what_is_said_of_the_ablation_holds() -> None:
    whole, no_damping, no_refresh = (mean(losses("ablation", lane)) for lane in range(3))
    counts = [mean(run["decompositions"] for run in measured.results("ablation")[Place(0, lane)]) for lane in range(3)]
    assert counts[1] > 2 * counts[0] and counts[2] == 18, "eighteen factors, once each"
    assert 0.9 < no_damping / whole < 0.97 and 1.6 < no_refresh / whole < 1.75


def test_what_is_said_of_kinds_of_parameters_holds() -> None:
    rates: dict[tuple[str, str], dict[str, float]] = {}
    figure = next(figure for figure in FIGURES if figure.id == "kinds-of-parameter")
    for row in page.kinds(figure):
        task, _, kind = row["kind"].partition(": ")
        rates.setdefault((task, row["rule"]), {})[kind] = row["rate"]

    def least(task: str, rule: str) -> float:
        """The least rate of a kind of vectors over the highest of a kind of matrices."""
        vectors = {kind: rate for kind, rate in rates[task, rule].items() if "norm" in kind or "bias" in kind}
        matrices = [rate for kind, rate in rates[task, rule].items() if kind not in vectors]
        return min(vectors.values()) / max(matrices)

    assert least("Tiny GPT", "residual") > 1.5 and least("Digits", "residual") > 1.5
    assert 1.2 < least("Digits", "FOAM") < least("Digits", "residual")
    tiny = rates["Tiny GPT", "FOAM"]
    assert max(rate for kind, rate in tiny.items() if "norm" in kind) < min(
        rate for kind, rate in tiny.items() if "norm" not in kind
    )


def test_what_is_said_of_early_and_late_holds() -> None:
    always, early, late, never = (losses("early-or-late", lane) for lane in range(4))
    assert sum(a < b for a, b in zip(early, late, strict=True)) == 4
    assert measured.verdict(early, late) == "no difference seen"
    for half in (early, late):
        assert mean(never) - mean(half) > (mean(never) - mean(always)) / 3
        assert measured.verdict(half, never) == "less" and measured.verdict(half, always) == "more"


def test_rates_and_damping_are_read_from_the_recording() -> None:
    by_id = {figure.id: figure for figure in FIGURES}
    rates = page._rates(by_id["rates-over-time"])
    left = [row["y"] for row in rates if row["group"] == "left"]
    assert left[0] > left[-1] and all(0 <= rate <= 10 for rate in left)
    damping = [row["y"] for row in page._damping(by_id["sawtooth"])]
    assert min(damping) == pytest.approx(3e-6) and max(damping) <= 3e-5 * (1 + 1e-6)
