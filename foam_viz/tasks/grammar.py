"""A probabilistic grammar that writes text whose entropy per character is known exactly.

Sentences look like ``two mild gorans(that hunt a kelu) see the bort.``: invented words with unequal frequencies,
verbs that agree in number with a noun several words back, and clauses in brackets that nest. Nothing here imports
torch.

The grammar is kept in a form where the next character decides every choice: the alternatives of a symbol begin with
different characters. So the text read so far determines the stack of symbols yet to be written, the derivation of a
text is unique, and the entropy of the text is the entropy of the choices.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache

import numpy as np

START = "sentence"
_CONSONANTS, _VOWELS, _ENDINGS = "bdfghklmnprstvz", "aeiou", "dklmnrt"

# An alternative of a symbol: its probability, the text it writes, the symbols that follow.
Alternative = tuple[float, str, tuple[str, ...]]
Stack = tuple[str, ...]


class Grammar:
    """A grammar given by the alternatives of each symbol.

    Args:
        rules: Alternatives by symbol; ``sentence`` is the start. Their texts must be prefix-free; one may be empty,
            where what follows begins with other characters. No symbol may lead back to itself.

    Raises:
        ValueError: Probabilities do not sum to 1, or a character does not decide the alternative.
    """

    def __init__(self, rules: Mapping[str, Sequence[Alternative]]) -> None:
        for symbol, alternatives in rules.items():
            if abs(sum(probability for probability, _, _ in alternatives) - 1) > 1e-9:
                raise ValueError(f"the probabilities of {symbol!r} do not sum to 1")
        self.rules = {symbol: tuple(alternatives) for symbol, alternatives in rules.items()}
        self._steps: dict[str, tuple[Alternative, ...]] = {}
        for symbol, alternatives in self.rules.items():
            self._factor(symbol, alternatives)

    def _factor(self, symbol: str, alternatives: Sequence[Alternative]) -> None:
        """Cuts alternatives into steps of one character: those with a common first character share a new symbol."""
        groups: dict[str, list[Alternative]] = {}
        for probability, text, following in alternatives:
            groups.setdefault(text[:1], []).append((probability, text[1:], following))
        steps = []
        for character, group in groups.items():
            total = sum(probability for probability, _, _ in group)
            if len(group) == 1 and not group[0][1]:
                steps.append((total, character, group[0][2]))
                continue
            if any(not rest for _, rest, _ in group):
                raise ValueError(f"two alternatives of {symbol!r} begin alike with one of them complete")
            inner = f"{symbol}\0{character}"
            self._factor(inner, [(probability / total, rest, following) for probability, rest, following in group])
            steps.append((total, character, (inner,)))
        self._steps[symbol] = tuple(steps)

    def next_characters(self, stack: Stack) -> list[tuple[float, str, Stack]]:
        """What may be written next: probability, character and the stack after it. An empty stack starts a sentence."""
        stack = stack or (START,)
        found: list[tuple[float, str, Stack]] = []
        for probability, character, following in self._steps[stack[0]]:
            rest = following + stack[1:]
            if character:
                found.append((probability, character, rest))
            else:
                found += [(probability * share, first, after) for share, first, after in self.next_characters(rest)]
        if len({character for _, character, _ in found}) < len(found):
            raise ValueError(f"the next character does not decide what {stack[0]!r} becomes")
        return found

    def sentences(self, seed: int) -> Iterator[tuple[str, float]]:
        """Endless independent sentences, each with the log of its probability in nats."""
        source = random.Random(seed)
        cumulative = {
            symbol: np.cumsum([probability for probability, _, _ in alternatives])[:-1].tolist()
            for symbol, alternatives in self.rules.items()
        }
        while True:
            written, log_probability, stack = [], 0.0, [START]
            while stack:
                symbol = stack.pop()
                probability, text, following = self.rules[symbol][bisect_right(cumulative[symbol], source.random())]
                written.append(text)
                log_probability += math.log(probability)
                stack += reversed(following)
            yield "".join(written), log_probability

    @cached_property
    def entropy_rate(self) -> float:
        """Entropy of a long text in nats per character: that of a sentence over its expected length."""

        @cache
        def measured(symbol: str) -> tuple[float, float]:
            entropy = length = 0.0
            for probability, text, following in self.rules[symbol]:
                parts = [measured(name) for name in following]
                entropy += probability * (sum(part[0] for part in parts) - math.log(probability))
                length += probability * (sum(part[1] for part in parts) + len(text))
            return entropy, length

        entropy, length = measured(START)
        return entropy / length

    def window_entropy(self, length: int) -> float:
        """Entropy of the first ``length`` characters from the start of a sentence on, in nats per character.

        What a perfect predictor loses on such a window, on average: the text before a character determines the stack,
        so that the mean is one over the stacks that are reached, weighted by their exact probabilities.
        """
        entropies, sources, targets, probabilities = self._automaton
        weights = np.zeros(len(entropies))
        weights[0] = 1.0
        total = 0.0
        for _ in range(length):
            total += float(weights @ entropies)
            weights = np.bincount(targets, weights[sources] * probabilities, minlength=len(entropies))
        return total / length

    @cached_property
    def _automaton(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Entropy of the next character by stack (the empty one first); source, target, probability by transition."""
        numbers: dict[Stack, int] = {(): 0}
        waiting: list[Stack] = [()]
        entropies, transitions = [], []
        for stack in waiting:
            choices = self.next_characters(stack)
            entropies.append(-sum(probability * math.log(probability) for probability, _, _ in choices))
            for probability, _, after in choices:
                if after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                transitions.append((numbers[stack], numbers[after], probability))
        sources, targets, probabilities = zip(*transitions, strict=True)
        return np.array(entropies), np.array(sources), np.array(targets), np.array(probabilities)


def _words(source: random.Random, count: int, taken: set[str]) -> list[str]:
    """Invented words of one or two syllables; none begins another, whatever list they are in."""
    words: list[str] = []
    while len(words) < count:
        syllables = source.randint(1, 2)
        word = "".join(source.choice(_CONSONANTS) + source.choice(_VOWELS) for _ in range(syllables))
        word += source.choice(_ENDINGS)
        if not any(word.startswith(other) or other.startswith(word) for other in taken):
            words.append(word)
            taken.add(word)
    return words


def _zipf(count: int) -> list[float]:
    """Frequencies that fall as one over the rank."""
    weights = [1 / (rank + 2) for rank in range(count)]
    return [weight / sum(weights) for weight in weights]


@lru_cache(maxsize=1)
def english_like() -> Grammar:
    """The grammar of the project's text: 40 nouns, 24 verbs, 16 adjectives, clauses nested two deep."""
    source = random.Random(20)
    # Words of the grammar itself, and one that nobody wants on a projector.
    taken = {"that", "dik"}
    nouns, verbs, adjectives = (_words(source, count, taken) for count in (40, 24, 16))
    articles = {"one": {"a": 0.6, "this": 0.25, "every": 0.15}, "many": {"two": 0.5, "these": 0.3, "all": 0.2}}
    singular, adjective, clause, joined = 0.6, (0.0, 0.15, 0.3), (0.0, 0.15, 0.25), 0.2
    shares = {"one": singular, "many": 1 - singular}
    rules: dict[str, list[Alternative]] = {
        "space": [(1.0, " ", ())],
        "sentence": [(1.0, "", ("statement", "end"))],
        "end": [(1 - joined, ".\n", ()), (joined, " and ", ("statement", "stop"))],
        "stop": [(1.0, ".\n", ())],
        "close": [(1.0, ")", ())],
    }

    def noun_phrases(adjectives_left: int, after: Mapping[str, tuple[str, ...]]) -> list[Alternative]:
        return [
            (shares[number] * share, f"{article} ", (f"noun {number} {adjectives_left}", *after[number]))
            for number, choices in articles.items()
            for article, share in choices.items()
        ]

    deepest = len(clause) - 1
    rules["statement"] = noun_phrases(
        2, {n: (f"clause {n} {deepest}", "space", f"verb {n} {deepest}") for n in articles}
    )
    for number in articles:
        noun_end, verb_end = ("", "s") if number == "one" else ("s", "")
        for left, probability in enumerate(adjective):
            rules[f"noun {number} {left}"] = [
                ((1 - probability) * share, noun + noun_end, ())
                for noun, share in zip(nouns, _zipf(len(nouns)), strict=True)
            ]
            if left:
                rules[f"noun {number} {left}"] += [
                    (probability * share, f"{word} ", (f"noun {number} {left - 1}",))
                    for word, share in zip(adjectives, _zipf(len(adjectives)), strict=True)
                ]
        for depth, probability in enumerate(clause):
            rules[f"clause {number} {depth}"] = [(1 - probability, "", ())]
            if depth:
                inner = (f"verb {number} {depth - 1}", "close")
                rules[f"clause {number} {depth}"].append((probability, "(that ", inner))
            rules[f"verb {number} {depth}"] = [
                (share, f"{verb}{verb_end} ", (f"object {depth}",))
                for verb, share in zip(verbs, _zipf(len(verbs)), strict=True)
            ]
    for depth in range(len(clause)):
        rules[f"object {depth}"] = noun_phrases(1, {n: (f"clause {n} {depth}",) for n in articles})
    return Grammar(rules)
