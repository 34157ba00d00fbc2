"""The grammar's entropy against independent computations: enumeration of all texts, and long samples."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest

from foam_viz.tasks.grammar import Alternative, Grammar, english_like

# Shared beginnings, an empty alternative that looks on to what follows, and nesting.
TOY: dict[str, list[Alternative]] = {
    "sentence": [(0.5, "ab", ("tail 1", "end")), (0.2, "ac", ("end",)), (0.3, "b", ("tail 0", "end"))],
    "tail 0": [(0.4, "", ()), (0.6, "c", ())],
    "tail 1": [(0.25, "", ()), (0.75, "(", ("tail 0", "close"))],
    "close": [(1.0, ")", ())],
    "end": [(0.9, ".", ()), (0.1, "!!", ())],
}


def _expand(rules, stack: tuple[str, ...], length: int) -> dict[str, float]:
    """Probability of every text of ``length`` characters, by expanding derivations whole: no automaton."""
    texts: dict[str, float] = {}
    waiting = [("", stack, 1.0)]
    while waiting:
        text, pending, probability = waiting.pop()
        if len(text) >= length:
            texts[text[:length]] = texts.get(text[:length], 0.0) + probability
            continue
        pending = pending or ("sentence",)
        for share, written, following in rules[pending[0]]:
            waiting.append((text + written, following + pending[1:], probability * share))
    return texts


@pytest.mark.parametrize("length", range(1, 10))
def test_window_entropy_equals_that_of_all_texts(length: int) -> None:
    texts = _expand(TOY, ("sentence",), length)
    assert sum(texts.values()) == pytest.approx(1, abs=1e-12)
    entropy = -sum(p * math.log(p) for p in texts.values())
    assert Grammar(TOY).window_entropy(length) == pytest.approx(entropy / length, abs=1e-12)


def test_the_rate_is_the_limit_of_windows() -> None:
    toy = Grammar(TOY)
    # H of the first n characters grows by the rate per character, whatever happens at the start.
    grown = (4000 * toy.window_entropy(4000) - 2000 * toy.window_entropy(2000)) / 2000
    assert grown == pytest.approx(toy.entropy_rate, abs=1e-9)


def test_the_rate_equals_that_of_all_sentences() -> None:
    sentences: dict[str, float] = {}
    waiting: list[tuple[str, tuple[str, ...], float]] = [("", ("sentence",), 1.0)]
    while waiting:
        text, pending, probability = waiting.pop()
        if not pending:
            sentences[text] = sentences.get(text, 0.0) + probability
            continue
        for share, written, following in TOY[pending[0]]:
            waiting.append((text + written, following + pending[1:], probability * share))
    entropy = -sum(p * math.log(p) for p in sentences.values())
    length = sum(p * len(text) for text, p in sentences.items())
    assert Grammar(TOY).entropy_rate == pytest.approx(entropy / length, abs=1e-12)


def test_sentences_have_the_frequencies_of_the_rules() -> None:
    count = 20_000
    drawn = [sentence for sentence, _ in islice(Grammar(TOY).sentences(3), count)]
    for text, probability in {"ac.": 0.18, "b.": 0.3 * 0.4 * 0.9, "ab(c)!!": 0.5 * 0.75 * 0.6 * 0.1}.items():
        error = math.sqrt(probability * (1 - probability) / count)
        assert abs(drawn.count(text) / count - probability) < 4 * error


def test_a_long_sample_agrees_with_the_rate() -> None:
    grammar = english_like()
    sample = list(islice(grammar.sentences(99), 10_000))
    surprise = np.array([-log_probability for _, log_probability in sample])
    lengths = np.array([len(sentence) for sentence, _ in sample])
    estimate = surprise.sum() / lengths.sum()
    error = (surprise - estimate * lengths).std() / math.sqrt(len(sample)) / lengths.mean()
    assert error < 0.002
    assert abs(estimate - grammar.entropy_rate) < 4 * error


def test_characters_multiply_to_the_probability_of_a_sentence() -> None:
    """Reading a sentence character by character costs what deriving it rule by rule does."""
    grammar = english_like()
    for sentence, log_probability in islice(grammar.sentences(5), 200):
        stack: tuple[str, ...] = ()
        total = 0.0
        for character in sentence:
            choices = {c: (probability, after) for probability, c, after in grammar.next_characters(stack)}
            assert sum(probability for probability, _ in choices.values()) == pytest.approx(1)
            probability, stack = choices[character]
            total += math.log(probability)
        assert stack == ()
        assert total == pytest.approx(log_probability)


def test_the_text_is_what_it_was() -> None:
    grammar = english_like()
    assert grammar.entropy_rate == pytest.approx(0.5400062384521823, abs=1e-12)
    assert grammar.window_entropy(64) == pytest.approx(0.5611724272994275, abs=1e-12)
    assert grammar.entropy_rate < grammar.window_entropy(256) < grammar.window_entropy(64)
    assert next(grammar.sentences(1))[0] == "these vin dels hak two hats and this vin hat matens all zemor hats.\n"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"sentence": [(0.5, "a", ()), (0.4, "b", ())]}, "do not sum to 1"),
        ({"sentence": [(0.5, "a", ()), (0.5, "ab", ())]}, "begin alike"),
    ],
)
def test_what_is_no_grammar_is_refused(rules, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Grammar(rules)


def test_an_ambiguous_continuation_is_refused() -> None:
    grammar = Grammar({"sentence": [(1.0, "a", ("maybe", "end"))], "maybe": [(0.5, "", ()), (0.5, "b", ())],
                       "end": [(1.0, "b", ())]})  # fmt: skip
    with pytest.raises(ValueError, match="does not decide"):
        grammar.window_entropy(3)
