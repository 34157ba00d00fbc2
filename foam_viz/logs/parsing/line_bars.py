"""Progress bars in a line of text: how far, of how many, under which label."""

from __future__ import annotations

import re
from dataclasses import dataclass

from foam_viz.logs.core.column_names import HELD_OUT, TEST

_TQDM = re.compile(
    r"(?:\d{1,3}(?:\.\d+)?%\s?)?(?:\|[^|\n]{0,200})?\|\s{0,4}(?P<place>\d{1,12})/(?P<total>\d{1,12})\s{0,4}"
    r"\[[^\]<]{0,20}<[^,\]]{0,20},?\s{0,4}[^,\]]{0,20}"
)
_WITHOUT_TOTAL = re.compile(r"(?<![\w.])(?P<place>\d{1,12})it \[[\d:]{4,12}, {0,4}[^,\]]{0,20}")
_PIECES = "━╸╺╍─█▏▎▍▌▋▊▉"
_RICH = re.compile(
    rf"(?<![{_PIECES}])[{_PIECES}][ {_PIECES}]{{1,300}}(?P<place>\d{{1,12}})/(?P<total>\d{{1,12}})(?![\d.])"
    r"(?:\s{1,4}[\d:]{4,9} • [-\d:]{4,9})?(?:\s{1,4}[\d.]{1,12}it/s)?"
)
_EVALUATES = HELD_OUT | TEST | {"validating", "evaluating", "validate", "evaluate", "sanity"}
_TRAINS = frozenset({"train", "training", "step", "steps", "iteration", "iterations", "iter", "epoch", "epochs"})
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Bar:
    """A state of a progress bar.

    Attributes:
        place: How far it is.
        total: Of how many; 0 where it does not say.
        label: Words before it.
        rest: The line without the bar itself.
    """

    place: int
    total: int
    label: tuple[str, ...]
    rest: str

    @property
    def evaluates(self) -> bool:
        """Whether the label says that something is evaluated."""
        return bool(_EVALUATES.intersection(self.label))

    @property
    def counts_epochs(self) -> bool:
        """Whether it counts epochs and not steps."""
        return self.label[-1:] in (("epoch",), ("epochs",)) and not re.search(r"\d", self.rest.partition("|")[0])

    @property
    def may_train(self) -> bool:
        """Whether nothing in the label speaks against steps of training."""
        return not self.label or bool(_TRAINS.intersection(self.label))


def bar_of(line: str) -> Bar | None:
    """Return the bar in a line; None without one."""
    found = _TQDM.search(line) if "|" in line else None
    if found is None and "it [" in line:
        found = _WITHOUT_TOTAL.search(line)
    if found is None and ("━" in line or "█" in line or "─" in line):
        found = _RICH.search(line)
    if found is None:
        return None
    label = line[: found.start()]
    total = int(found.groupdict().get("total") or 0)
    words = tuple(word.lower() for word in _WORD.findall(label[-200:]))
    return Bar(int(found["place"]), total, words, f"{label} | {line[found.end() :]}")
