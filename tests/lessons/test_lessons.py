from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured, sandbox
from foam_viz.lessons.catalogue import BY_ID, LESSONS
from foam_viz.lessons.lesson import MEASURES, Claim, Lesson, Place
from foam_viz.trace.disk import bundle

FOLDER = Path(measured.__file__).parent


def test_the_course_has_twelve_lessons_a_file_each() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {
        "__init__",
        "lesson",
        "catalogue",
        "sandbox",
        "measured",
        "glossary",
        "paper_figures",
    }
    assert len(LESSONS) == len(BY_ID) == len(files) == 12


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
class TestEachLesson:
    def test_its_experiments_are_valid_links(self, lesson: Lesson) -> None:
        for stage in lesson.stages:
            experiment = stage.experiment()
            assert experiment.run_settings["steps"] == stage.steps
            assert stage.experiment(seed=31).run_settings["seed"] == 31
            assert len(stage.labels()) == len(experiment.lanes)
            assert set(stage.panels) <= PANELS.keys()
            assert all(values and all(values) for values in stage.link.values())

    def test_its_panels_fill_their_rows(self, lesson: Lesson) -> None:
        """A row is twelve columns wide; a hole beside a card looks like a card that is missing."""
        for stage in lesson.stages:
            free = 0
            for name in stage.panels:
                columns = PANELS[name].columns
                assert not free or columns <= free, (stage.title, name)
                free = (free or 12) - columns
            assert not free, stage.title

    def test_what_it_follows_is_there(self, lesson: Lesson) -> None:
        for stage in lesson.stages:
            assert stage.lane < len(stage.labels()) and stage.factor >= 0

    def test_its_claims_name_lanes_and_measures(self, lesson: Lesson) -> None:
        assert lesson.claims or lesson.calculations
        for claim in lesson.claims:
            for place in (claim.left, claim.right):
                assert place.lane < len(lesson.stages[place.stage].experiment().lanes)
            assert {claim.measure, claim.against or claim.measure} <= MEASURES.keys()
            assert claim.measure != "after" or lesson.stages[claim.left.stage].after

    def test_its_calculations_hold(self, lesson: Lesson) -> None:
        assert bool(lesson.sandbox) == bool(lesson.calculations)
        for item in lesson.calculations:
            value = getattr(sandbox.read(item.setting), item.reading)
            assert math.isclose(value, item.value, rel_tol=item.tolerance, abs_tol=1e-9), item.text

    def test_its_prediction_has_one_right_answer(self, lesson: Lesson) -> None:
        assert 2 <= len(lesson.prediction.choices) <= 5
        assert 0 <= lesson.prediction.right < len(lesson.prediction.choices)

    def test_what_it_says_is_what_was_measured(self, lesson: Lesson) -> None:
        found = measured.results(lesson.id)
        assert {(claim.left, claim.right) for claim in lesson.claims} or not found
        for claim in lesson.claims:
            said, _ = measured.decide(claim, found)
            assert said == claim.says, measured.sentence(lesson, claim, found)


# Percentages of prose that no training decides: 1 - 0.99^f, and what a paper reports, quoted as such.
CALCULATED = {("how-stale", f"{100 * (1 - 0.99**f):.0f} %") for f in (10, 50, 100, 200)}
QUOTED = {("who-drifts", "10 %"), ("who-drifts", "5 %")}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_no_number_of_training_is_written_into_prose(lesson: Lesson) -> None:
    asked = lesson.prediction
    prose = " ".join((lesson.question, asked.question, *asked.choices, *lesson.why, *lesson.try_yourself))
    written = {(lesson.id, share) for share in re.findall(r"\d+(?:\.\d+)? %", prose)}
    assert written <= CALCULATED | QUOTED
    assert set(re.findall(r"\{(\w+)\}", prose)) == lesson.numbers.keys()
    filled = measured.filled(lesson, asked.question + "".join(lesson.why))
    assert "{" not in filled and "nan" not in filled


def test_a_number_of_the_prose_is_what_was_measured() -> None:
    lesson = BY_ID["eigenvalues-or-basis"]
    found = measured.results(lesson.id)
    old, new = (sum(run["loss"] for run in found[Place(0, lane)]) / 5 for lane in (0, 1))
    assert f"costs {new / old - 1:.0%}".replace("%", " %") in measured.filled(lesson, lesson.why[0])


def test_no_claim_depends_on_how_busy_the_machine_is() -> None:
    assert not [claim for lesson in LESSONS for claim in lesson.claims if "seconds" in (claim.measure, claim.against)]


def test_more_and_less_need_one_sign() -> None:
    assert measured.verdict([2, 3], [1, 2]) == "more"
    assert measured.verdict([1, math.inf], [2, math.inf]) == "no difference seen"
    assert measured.verdict([1, 2], [2, math.inf]) == "less"


def test_a_sentence_says_what_was_measured_and_not_what_the_lesson_hopes() -> None:
    lesson = BY_ID["how-stale"]
    found = {Place(0, lane): [{"loss": 0.3 - 0.1 * lane}] * 5 for lane in range(2)}
    claim = Claim(Place(0, 1), Place(0, 0), "loss", "more")
    assert measured.decide(claim, found) == ("less", pytest.approx(-1 / 3))
    assert measured.sentence(lesson, claim, found) == (
        "Training loss, mean of the last 20 steps: 0.200 for f = 50 against 0.300 for f = 10. That is 33\u202f% less "
        "on average, and less on all 5 seeds."
    )
    found[Place(0, 1)][0] = {"loss": 0.4}
    assert measured.sentence(lesson, claim, found).endswith("No difference seen: the 5 seeds disagree.")


def test_some_runs_that_diverged_are_counted() -> None:
    lesson = BY_ID["how-stale"]
    found = {Place(0, 0): [{"loss": 0.3}] * 5, Place(0, 1): [{"loss": None}] + [{"loss": 0.4}] * 4}
    assert "diverged in 1 of 5 runs" in measured.sentence(
        lesson, Claim(Place(0, 1), Place(0, 0), "loss", "more"), found
    )


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson.stages], ids=lambda lesson: lesson.id)
def test_what_is_played_is_the_experiment_itself(lesson: Lesson) -> None:
    for place, stage in enumerate(lesson.stages):
        experiment = stage.experiment()
        for lane in range(len(experiment.lanes)):
            played = bundle.read(SAMPLE_RUNS / "lessons" / f"{lesson.id}-{place}-{lane}.zip").manifest
            assert played.config == experiment.lane_config(lane), f"stage {place}, lane {lane}"


def test_a_sketch_has_room_for_what_was_measured() -> None:
    asked = {lesson.id: lesson.prediction.sketch for lesson in LESSONS if lesson.prediction.sketch}
    assert asked.keys() == {"how-stale", "what-damping-does"}
    for name, sketch in asked.items():
        lanes = [runs for place, runs in measured.results(name).items() if place.stage == sketch.stage]
        losses = [run["loss"] for runs in lanes for run in runs]
        assert len(lanes) == len(BY_ID[name].stages[sketch.stage].labels())
        assert sketch.low < min(losses) and max(losses) < sketch.high


def test_bands_are_of_the_lanes_of_their_experiment() -> None:
    told = [(lesson, place) for lesson in LESSONS for place in range(len(lesson.stages))]
    bands = {(lesson.id, place): measured.bands(lesson, place) for lesson, place in told}
    assert bands["how-stale", 0], "the first lesson has its band"
    for lesson, place in told:
        for band in bands[lesson.id, place]:
            assert band.step[0] == 1 and band.step[-1] == lesson.stages[place].steps
            assert all(low <= high for low, high in zip(band.low, band.high, strict=True))
            final = [run["loss"] for run in measured.results(lesson.id)[Place(place, band.lane)]]
            assert 0.7 * min(final) < band.low[-1] <= band.high[-1] < 1.4 * max(final)


def test_lanes_that_learned_alike_have_bands() -> None:
    """A lane in which no seed diverged has a band, so that a live curve has something to lie over."""
    for lesson in LESSONS:
        for place, stage in enumerate(lesson.stages):
            whole = {
                lane
                for lane in range(len(stage.labels()))
                if all(run["loss"] is not None for run in measured.results(lesson.id)[Place(place, lane)])
            }
            assert {band.lane for band in measured.bands(lesson, place)} == whole, (lesson.id, place)


def test_the_lesson_on_damping_follows_lanes_in_which_it_bites() -> None:
    """Where the reader is told to watch directions that are switched off, there are many of them."""
    lesson = BY_ID["what-damping-does"]
    for place, stage in enumerate(lesson.stages):
        view = bundle.read(SAMPLE_RUNS / "lessons" / f"{lesson.id}-{place}-{stage.lane}.zip").view()
        table = view.table("snapshots")
        rows = [row for row in range(table.num_rows) if table["factor"][row].as_py() == stage.factor]
        spectrum = table["basis_eigenvalues"][rows[-1]].as_py()
        damped = sum(value < table["epsilon"][rows[-1]].as_py() for value in spectrum)
        assert damped > len(spectrum) // 2, stage.title


def test_the_lesson_on_float32_follows_a_factor_with_empty_directions() -> None:
    stage = BY_ID["what-float32-hides"].stages[0]
    for lane, empty in ((2, True), (3, False)):
        table = bundle.read(SAMPLE_RUNS / "lessons" / f"what-float32-hides-0-{lane}.zip").view().table("snapshots")
        rows = [row for row in range(table.num_rows) if table["factor"][row].as_py() == stage.factor]
        assert (min(table["basis_eigenvalues"][rows[-1]].as_py()) < 1e-15) == empty
