"""How a setting is told from the recorded one, and what a card of the errors of updates says."""

from __future__ import annotations

from types import SimpleNamespace

from foam_viz.analysis.replay import default_setting
from foam_viz.analysis.study import Study, difference
from foam_viz.figures.threshold import updates


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
