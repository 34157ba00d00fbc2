"""Edits: a run edited while it trains is the run of its configuration, bit for bit, and what cannot be is said."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from foam_viz.analysis.settings import course, settings_at
from foam_viz.engine import store
from foam_viz.engine.wire.commands import Change
from foam_viz.engine.worker.group import Group
from foam_viz.engine.worker.run import Run
from foam_viz.experiment import config, edits, export, links
from foam_viz.experiment.config import Experiment
from foam_viz.experiment.edits import Edit
from foam_viz.optim.fields import FieldError
from foam_viz.settings import Settings
from foam_viz.trace.disk import bundle
from tests.engine.conftest import experiment
from tests.engine.test_group import VIEW, advance, killed, lane, save
from tests.engine.test_run import assert_same_rows, recorded


def made(*lanes: str, edit: tuple[str, ...] = (), **query: str) -> Experiment:
    asked = {"lane": lanes or ("foam:tau=0.5",), "batch_size": ("16",), "edit": edit}
    built, errors = links.from_query({"v": ("2",), **asked, **{key: (text,) for key, text in query.items()}})
    assert errors == []
    return built


# --- what an edit may be ---------------------------------------------------------------------------------------------


def refused(*texts: str, lanes: tuple[str, ...] = ("foam", "shampoo", "adamw")) -> list[str]:
    _, errors = links.from_query({"v": ("2",), "lane": lanes, "edit": texts, "steps": ("500",)})
    return [str(error) for error in errors]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tau=0.5", "edit = tau=0.5: must be STEP:SETTING=VALUE, or STEP:LANE:SETTING=VALUE for one lane"),
        ("0:tau=0.5", "edit = 0: must be of a step from 1 to 500"),
        ("501:tau=0.5", "edit = 501: must be of a step from 1 to 500"),
        ("99999999999999999999:tau=0.5", "must be STEP:SETTING=VALUE"),
        ("9:7:tau=0.5", "edit 9:7:tau = 0.5: must be of a lane from 1 to 3"),
        ("9:tau=1.5", "edit 9:tau = 1.5: must be a number strictly between 0 and 1"),
        ("9:tau=nan", "edit 9:tau = nan"),
        ("9:tua=0.5", "did you mean tau"),
        ("9:3:tau=0.5", "edit 9:3:tau"),
        ("9:beta2=0.5", "the setting stays as it is while a run trains, since the mean that it decays"),
        ("9:seed=3", "since weights and batches have followed from it"),
        ("9:steps=900", "since a run is as long as its configuration says"),
        ("9:width=3", "edit 9:width"),
        ("9:1:epsilon=1", "edit 9:1:epsilon = 1: must be a value with which epsilon_max"),
        ("9:1:epsilon_max=1e-9", "must be at least epsilon = 3e-6 in lane 1"),
    ],
)
def test_an_edit_that_cannot_be_is_named(text: str, words: str) -> None:
    said = " ".join(refused(text))
    assert words in said


def test_edits_of_one_step_are_judged_together() -> None:
    assert refused("9:1:epsilon=1", "9:1:epsilon_max=2") == []
    assert refused("9:1:epsilon_max=2", "9:1:epsilon=1") == []
    assert "epsilon_max" in " ".join(refused("9:1:epsilon=1", "10:1:epsilon_max=2"))
    # A refused edit costs no other one.
    kept, _ = links.from_query({"v": ("2",), "lane": ("foam",), "edit": ("9:epsilon=1", "9:lr=0.5", "12:tau=0.5")})
    assert [edit.key for edit in kept.edits] == ["12:tau"]


def test_adams_second_moment_cannot_be_made_up_for() -> None:
    assert "did not keep it" in " ".join(refused("9:grafting=adam", lanes=("shampoo:grafting=sgd",)))
    assert refused("9:grafting=sgd", "20:grafting=adam", lanes=("shampoo",)) == []


def test_all_means_the_lanes_that_have_the_setting() -> None:
    one = made("foam", "shampoo", "adamw", edit=("9:tau=0.4", "20:lr=0.5"))
    assert [len(one.edits_of(place)) for place in range(3)] == [2, 1, 1]
    assert one.settings_at(0, 8)["tau"] == 0.75 and one.settings_at(0, 9)["tau"] == 0.4
    assert one.settings_at(2, 20)["lr"] == 0.5


def test_a_link_and_a_file_carry_edits() -> None:
    texts = ("9:tau=0.4", "20:1:epsilon_max=0.0001", "21:schedule=linear-decay", "30:2:grafting=none")
    one = made("foam", "shampoo", edit=texts)
    query = {key: value if isinstance(value, list) else [value] for key, value in links.to_query(one).items()}
    assert query["edit"] == list(texts)
    assert links.from_query(query) == (one, [])
    assert config.from_json(json.loads(json.dumps(one.to_json()))) == one
    alone, errors = config.from_manifest(json.loads(json.dumps(one.lane_config(0))))
    assert errors == [] and [edit.key for edit in alone.edits] == ["9:tau", "20:epsilon_max", "21:schedule"]


@pytest.mark.parametrize(
    "told", [3, ["x"], [{"setting": 3}], [{"setting": "tau", "step": "9", "value": [1]}], {"a": 1}]
)
def test_edits_of_a_foreign_manifest_are_not_trusted(told: Any) -> None:
    one, errors = config.from_manifest({**made().lane_config(0), "edits": told})
    assert errors and one.edits == ()


# --- the run ---------------------------------------------------------------------------------------------------------


def test_an_edited_run_is_the_unedited_one_before_its_first_edit() -> None:
    plain = recorded(Run(made().lane_config(0), run_id="a"), 40)
    changed = recorded(Run(made(edit=("21:tau=0.05", "31:lr=0.5")).lane_config(0), run_id="b"), 40)
    again = recorded(Run(made(edit=("21:tau=0.05", "31:lr=0.5")).lane_config(0), run_id="c"), 40)
    assert_same_rows(changed, again)
    assert_same_rows(plain.truncated(20), changed.truncated(20))
    losses = [trace.values("steps", "loss") for trace in (plain, changed)]
    assert np.array_equal(losses[0][:30], losses[1][:30]) or not np.array_equal(losses[0][20:], losses[1][20:])
    assert not np.array_equal(losses[0][31:], losses[1][31:])


def test_an_edit_is_a_row_and_every_panel_reads_the_settings_of_its_time() -> None:
    one = made(edit=("21:tau=0.05", "21:epsilon_max=1e-2", "31:lr=0.5", "33:grafting=sgd", "35:schedule=warm-up"))
    trace = recorded(Run(one.lane_config(0), run_id="a"), 40)
    rows = trace.events.to_pandas()
    assert list(zip(rows.step, rows.kind, rows.setting, strict=True)) == [
        (21, "edit", "tau"), (21, "edit", "epsilon_max"), (31, "edit", "lr"), (33, "edit", "grafting"),
        (35, "edit", "schedule"),
    ]  # fmt: skip
    assert rows.value[0] == 0.05 and np.isnan(rows.value[3])
    assert rows.message[0] == "τ from 0.5 to 0.05." and rows.message[3] == "Grafting from adam to sgd."
    view = trace.view()
    assert (settings_at(view, 20).tau, settings_at(view, 21).tau) == (0.5, 0.05)
    assert list(course(view, "epsilon_max").step) == [0, 21]
    rate = trace.values("steps", "learning_rate")
    assert rate[29] == 0.01 and rate[30] == 0.5 and rate[34] == pytest.approx(0.5 * 35 / 50)


def test_an_edit_that_changes_nothing_has_no_row() -> None:
    trace = recorded(Run(made(edit=("5:tau=0.5", "9:tau=0.4", "12:tau=0.4")).lane_config(0), run_id="a"), 15)
    assert list(trace.values("events", "step")) == [9]


# --- made by hand ----------------------------------------------------------------------------------------------------


def chosen(rng: random.Random, lanes: int) -> list[Change]:
    """Some settings that a person may move at one time."""
    values = {
        "lr": rng.choice([1e-3, 0.02]), "tau": rng.choice([0.1, 0.6]), "period": rng.choice([3, 7, 20]),
        "epsilon_max": rng.choice([1e-4, 1e-2]), "epsilon": rng.choice([1e-7, 1e-5]),
        "weight_decay": rng.choice([0.0, 0.1]), "grafting": rng.choice([None, "sgd", "adam"]),
        "grafting_epsilon": rng.choice([1e-6, 1e-2]), "schedule": rng.choice(["constant", "warm-up"]),
    }  # fmt: skip
    names = rng.sample(list(values), rng.choice([1, 1, 2]))
    return [Change(rng.choice([None, *range(1, lanes + 1)]), name, values[name]) for name in names]


@pytest.mark.parametrize("seed", range(6))
def test_a_run_edited_by_hand_is_the_run_of_its_link(seed: int, settings: Settings) -> None:
    """Over random edits, undone ones, and an engine that is lost in between."""
    rng = random.Random(seed)
    group = Group(VIEW, made("foam:tau=0.5", "shampoo", "soap-residual"), settings, "cpu")
    group.open_autosave()
    while group.step < 60:
        advance(group, rng.randrange(1, 12))
        group.pause()
        if rng.random() < 0.25 and group.experiment.edits:
            group.undo()
        elif rng.random() < 0.9:
            group.edit(chosen(rng, 3))
        if rng.random() < 0.2:
            group.drain()
            save(group)
            reached, told = group.step, group.experiment
            killed(group)
            group = Group(VIEW, told, settings, "cpu")
            group.restore()
            group.recovering = reached
    steps = group.step
    group.close()
    query = {k: v if isinstance(v, list) else [v] for k, v in links.to_query(group.experiment).items()}
    linked, errors = links.from_query(query)
    assert errors == [] and linked == group.experiment
    for number in range(3):
        again = recorded(Run(linked.lane_config(number), run_id="x"), steps)
        assert_same_rows(again, bundle.read(lane(settings, number)))


@pytest.fixture
def group(settings: Settings) -> Group:
    started = Group(VIEW, made("foam:tau=0.5", "adamw"), settings, "cpu")
    started.open_autosave()
    advance(started, 5)
    started.pause()
    return started


def test_undo_appends_the_inverse_edit(group: Group) -> None:
    group.edit([Change(None, "tau", 0.2, 0.5)])
    advance(group, 3)
    group.undo()
    assert [(edit.key, edit.value) for edit in group.experiment.edits] == [("6:tau", 0.2), ("9:tau", 0.5)]
    advance(group, 1)
    group.undo()  # what was undone comes back
    assert group.experiment.settings_at(0, 10)["tau"] == 0.2


def test_undo_before_the_step_leaves_no_trace(group: Group) -> None:
    before = group.experiment
    group.edit([Change(1, "tau", 0.2, 0.5)])
    group.edit([Change(1, "tau", 0.3, 0.2)])
    assert [edit.value for edit in group.experiment.edits] == [0.3]
    group.undo()
    assert group.experiment == before and group.notice == ""
    group.undo()
    assert "edit = (none)" in group.notice


def test_undo_takes_back_together_what_only_fits_together(group: Group) -> None:
    group.edit([Change(1, "epsilon", 1.0), Change(1, "epsilon_max", 2.0)])
    assert group.notice == ""
    advance(group, 2)
    group.undo()
    assert group.notice == ""
    now = group.experiment.settings_at(0, 8)
    assert (now["epsilon"], now["epsilon_max"]) == tuple(
        group.experiment.lanes[0].settings[name] for name in ("epsilon", "epsilon_max")
    )


def test_what_cannot_be_is_said_and_nothing_changes(group: Group) -> None:
    before = group.experiment
    group.edit([Change(1, "tau", 1.5), Change(1, "lr", 0.5)])
    assert group.experiment is before
    assert "Not changed. edit 6:1:tau = 1.5: must be a number strictly between 0 and 1" in group.notice


def test_two_editors_the_last_wins_and_both_are_told(group: Group) -> None:
    group.edit([Change(1, "tau", 0.2, 0.5)])
    assert group.notice == ""
    group.edit([Change(1, "tau", 0.3, 0.5)])  # it had not seen 0.2
    assert "Two pages changed tau of lane 1: one to 0.2, then another to 0.3, which holds from step 6" in group.notice
    assert group.experiment.settings_at(0, 6)["tau"] == 0.3


def test_an_ended_run_cannot_be_edited(settings: Settings) -> None:
    one = Group(VIEW, experiment("sgd:lr=1000", "adamw", steps=90), settings, "cpu")
    one.open_autosave()
    advance(one, 80)
    before = one.experiment
    one.edit([Change(1, "lr", 0.1)])
    assert "Lane 1 has ended" in one.notice and one.experiment is before
    advance(one, 10)
    one.edit([Change(None, "lr", 0.1)])
    assert "The run has ended at step 90: lr stays as it was" in one.notice and one.experiment is before


def test_edits_are_on_the_disk_and_acted_on_after_a_restart(group: Group, settings: Settings) -> None:
    group.edit([Change(1, "tau", 0.2)])
    group.drain()
    save(group)
    killed(group)
    kept = store.read_json(lane(settings).parent / store.EXPERIMENT)
    again = Group(VIEW, config.from_json(kept), settings, "cpu")
    again.restore()
    advance(again, 3)
    again.close()
    rows = bundle.read(lane(settings)).events.to_pandas()
    assert list(zip(rows.step, rows.setting, rows.value, strict=True)) == [(6, "tau", 0.2)]
    assert bundle.read(lane(settings)).manifest.config["edits"][0]["setting"] == "tau"


# --- taken away ------------------------------------------------------------------------------------------------------


def test_the_command_and_the_program_of_an_edited_run_are_that_run(tmp_path: Any) -> None:
    one = made("foam:tau=0.5", edit=("8:lr=0.5", "8:tau=0.1", "11:schedule=linear-decay"), steps="15")
    trace = recorded(Run(one.lane_config(0), run_id="a"), 15)
    losses = list(trace.values("steps", "loss"))
    program = export.as_python(one.lane_config(0))
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert [float(line.split()[1]) for line in said.stdout.splitlines()] == losses
    words = export.as_cli(one.lane_config(0))
    assert "--edit 8:lr=0.5 --edit 8:tau=0.1 --edit 11:schedule=linear-decay" in words
    command = words.replace("python", sys.executable, 1).replace("--out run", f"--out {tmp_path / 'run'}")
    subprocess.run(command, shell=True, capture_output=True, check=True, timeout=300)
    assert_same_rows(trace, bundle.read(tmp_path / "run"))
    assert "# from step 8 on lr was 0.5, which the artifact cannot do" in export.as_artifact_yaml(one.lane_config(0))


def test_read_and_written_are_inverse() -> None:
    one = made("foam", "shampoo")
    for text in ("120:tau=0.5", "7:2:period=30"):
        (kept,), _ = edits.check(one.lanes, one.run_settings, [edits.read(text)])
        assert edits.written(kept, one.lanes) == text
    with pytest.raises(FieldError, match="--edit"):
        edits.read("120", "--edit")
    assert edits.read("5:tau=a=b") == Edit(5, None, "tau", "a=b")


def test_a_thousand_edits_are_checked_at_once() -> None:
    began = time.thread_time()
    kept, errors = config.build(edited=[Edit(step, None, "lr", step / 1e4) for step in range(1, 1200)])
    assert len(kept.edits) == edits.MAXIMUM_EDITS and "at most 1,000" in str(errors[0])
    assert time.thread_time() - began < 20
