from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

from foam_viz.experiment import config
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import BY_ID
from foam_viz.lessons.paper_figures import FIGURES, PaperFigure
from foam_viz.ui.lessons import paper_figures as page

FINDINGS = Path(__file__).resolve().parents[2] / "docs" / "findings"


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.id)
class TestEachFigure:
    def test_what_is_drawn_is_there(self, figure: PaperFigure) -> None:
        for dot in figure.dots:
            assert measured.results(BY_ID[dot.lesson])[dot.place]
        assert all((SAMPLE_RUNS / name).exists() for name in figure.samples.values())
        drawn = bool(figure.dots or figure.measured or figure.curve)
        assert drawn == (figure.verdict != "not measured")
        assert ("Not measured" in figure.found_here) == (not drawn)

    def test_its_live_run_is_a_valid_link(self, figure: PaperFigure) -> None:
        query: dict[str, list[str]] = {}
        for key, value in page.live_query(figure):
            query.setdefault(key, []).append(value)
        experiment, errors = config.from_query(query)
        assert not errors and len(experiment.lanes) == len(figure.live["lane"])

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
    assert cost["taking turns"]["y"] < cost["FOAM"]["y"]
    assert "ungrafted, f = 100" not in by_id["grafting"], "it diverged"
    seconds = by_id["overhead"]
    assert 0.6 < seconds["f = 200"]["y"] / seconds["f = 10"]["y"] < 0.75
    assert seconds["f = 200"]["x"] < 0.1 * seconds["f = 10"]["x"]


def test_rates_and_damping_are_read_from_the_recording() -> None:
    by_id = {figure.id: figure for figure in FIGURES}
    rates = page._rates(by_id["rates-over-time"])
    left = [row["y"] for row in rates if row["group"] == "left"]
    assert left[0] > left[-1] and all(0 <= rate <= 10 for rate in left)
    damping = [row["y"] for row in page._damping(by_id["sawtooth"])]
    assert min(damping) == pytest.approx(3e-6) and max(damping) <= 3e-5 * (1 + 1e-6)
