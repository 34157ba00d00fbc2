"""How a setting is told from the recorded one, and what a card of the errors of updates says."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

from foam_viz.analysis.replay import Summary
from foam_viz.analysis.replay_setting import default_setting
from foam_viz.analysis.study import Study, Truth, difference
from foam_viz.figures import theme
from foam_viz.figures.threshold import front, updates


def test_a_chosen_setting_is_written_as_it_was_chosen() -> None:
    own = default_setting(1e-6, 10)
    assert difference(own.changed({"tau": 0.5, "epsilon_max": 3e-5}), own) == "τ = 0.5, εₘₐₓ = 3e-5"
    assert difference(own, own) == "the recorded setting"


def test_every_number_of_the_error_of_updates_has_a_name() -> None:
    setting = default_setting(1e-6, 10)
    row = {"step": 100, "parameter": "0.weight", "error": 0.4, "grafted_error": 0.2, "cosine": 0.9}
    replay = SimpleNamespace(setting=setting, updates=(row,), open_loop=True)
    drawn = updates.draw(None, Study(what_if=replay, updates=replay, own_updates=replay))
    headline, sentence, *labelled = drawn.text
    assert headline[1] == "0.400 before grafting, 0.200 after"
    assert sentence[1].endswith("under the recorded setting 0.400 before grafting, 0.200 after.")
    assert [label for label, _, _ in labelled] == ["cosine, mean", "largest, before grafting"]
    assert "open loop" in drawn.reading and drawn.moment == "steps 100 to 100"


def test_a_trained_setting_joins_the_front_in_a_colour_of_its_own_with_the_error_of_its_prediction() -> None:
    own = default_setting(1e-6, 10)
    point = Summary(
        setting=own, exact=False, checks=90, decompositions=40, cap_refreshes=0, error_left=0.2, staleness_error=0.1,
        damping_error=0.1, directions_damped=1.0, kernel_seconds=1.0,
    )  # fmt: skip
    truth = Truth(setting=own, seed=0, done=True, decompositions=400, predicted=300, error_left=0.3, loss=0.5)
    chosen = SimpleNamespace(setting=own, error_left=math.nan)
    study = Study(points=(point,), truths=(truth,), what_if=None)
    drawn = front.draw(None, study).figure
    star = next(one for one in drawn["data"] if one["name"] == "trained" and one.get("hoverinfo") != "skip")
    assert "-25.0% of what came" in star["hovertext"][0]
    assert star["marker"]["color"] not in theme.DECISIONS.values()
    assert drawn["layout"]["xaxis"]["range"][1] > math.log10(400), "it lies within the axes"
    named = front._truths(replace(study, what_if=chosen))
    assert named[0]["text"] == ["predicted -25%"]
