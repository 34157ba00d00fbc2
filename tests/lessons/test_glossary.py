from __future__ import annotations

from foam_viz.figures.catalogue import COMPARE_PANELS, PANELS
from foam_viz.lessons.glossary import BY_WORD, TERMS
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.tasks.catalogue import TASKS


def test_no_word_stands_for_two_things() -> None:
    assert len(BY_WORD) == sum(1 + len(term.also) for term in TERMS)


def test_every_entry_is_a_sentence_and_every_measure_has_its_formula() -> None:
    for term in TERMS:
        assert term.words.endswith(".") and len(term.words) > 20, term.name
    for word in ("h", "r", "RC", "α", "ε", "τ", "true error", "update error", "overlap", "inverse root", "grafting"):
        assert BY_WORD[word.casefold()].formula, word


def test_every_hyperparameter_and_panel_is_explained() -> None:
    for spec in (*OPTIMIZERS.values(), *TASKS.values()):
        for field in getattr(spec, "all_fields", None) or spec.fields:
            assert len(field.help) > 10, (spec, field.name)
    assert all(len(panel.help) > 30 for panel in (*PANELS, *COMPARE_PANELS))


def test_every_greek_symbol_of_a_setting_is_in_the_glossary_or_explained_by_its_field() -> None:
    for spec in OPTIMIZERS.values():
        for field in spec.all_fields:
            if field.symbol and not field.symbol.isascii():
                known = field.symbol.casefold() in BY_WORD or field.symbol in field.help
                assert known or len(field.help) > 20, field.name
