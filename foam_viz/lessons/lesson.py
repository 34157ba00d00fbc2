"""What a lesson is: data that the page, the presenter, the links and ``python -m benchmarks lessons`` read alike.

Imports no torch and nothing of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from foam_viz.experiment import links, releases
from foam_viz.experiment.config import Experiment

Measure = Literal["loss", "held_out", "after", "decompositions", "checks", "left", "right", "seconds"]
Verdict = Literal["more", "less", "no difference seen"]

MEASURES: Mapping[str, str] = {
    "loss": "training loss, mean of the last 20 steps",
    "held_out": "held-out loss at the end",
    "after": "training loss, mean of 20 steps soon after the change",
    "decompositions": "decompositions",
    "checks": "checks of factors",
    "left": "decompositions of left factors",
    "right": "decompositions of right factors",
    "seconds": "optimizer seconds",
}
"""What a claim may compare, in words; every one is a number a run."""


@dataclass(frozen=True)
class Stage:
    """One experiment of a lesson: lanes that train side by side.

    Attributes:
        title: What is set, as a noun.
        query: The experiment as a link writes it, without the version.
        steps: Length of the run, steps.
        watch: What to look at while it runs, a sentence; a paper's figure has none.
        panels: Ids of the panels that show it, the most important first.
        names: A name for each lane as the lesson's text uses it; empty takes the experiment's own.
        after: The measure ``after`` is the mean of the 20 steps that end here; 0 where it has no meaning.
        lane, factor: What is followed at first, both counted from 0: the ones in which that is to be seen.
    """

    title: str
    query: Mapping[str, str | Sequence[str]]
    steps: int
    watch: str = ""
    panels: Sequence[str] = ()
    names: Sequence[str] = ()
    after: int = 0
    lane: int = 0
    factor: int = 0

    @property
    def link(self) -> dict[str, list[str]]:
        """The query of the link that opens the experiment."""
        given = {"v": str(releases.CURRENT), **self.query, "steps": str(self.steps)}
        return {key: [value] if isinstance(value, str) else list(value) for key, value in given.items()}

    def experiment(self, seed: int | None = None) -> Experiment:
        """Return the experiment, under another seed where one is given.

        Raises:
            FieldError: The link holds something that is not valid: a fault of the lesson.
        """
        query = self.link if seed is None else {**self.link, "seed": [str(seed)]}
        experiment, errors = links.from_query(query)
        if errors:
            raise errors[0]
        return experiment

    def labels(self) -> tuple[str, ...]:
        """Return the names of the lanes."""
        return tuple(self.names) or self.experiment().labels()


@dataclass(frozen=True)
class Place:
    """A lane of a stage, both counted from 0."""

    stage: int
    lane: int


@dataclass(frozen=True)
class Claim:
    """A statement that training decides: what ``left`` has of a measure against ``right``, seed by seed.

    Attributes:
        left: The lane that the sentence is about.
        right: The lane that it is compared with.
        measure: What is compared.
        says: What the lesson says: left has more, less, or no difference is seen. ``more`` and ``less`` need one sign
            of the difference over all seeds. A run that diverged has more loss than one that did not.
        against: Another measure for ``right``, where two measures of one run are compared.
    """

    left: Place
    right: Place
    measure: Measure
    says: Verdict
    against: Measure | None = None


@dataclass(frozen=True)
class Number:
    """A number in a lesson's prose, which is filled in from the measurement: how ``left`` compares with ``right``.

    Attributes:
        left, right: The lanes.
        measure: What is compared.
        kind: ``change`` is by how much left differs, of right; ``share`` is left as a part of right.
    """

    left: Place
    right: Place
    measure: Measure
    kind: Literal["change", "share"] = "change"


@dataclass(frozen=True)
class Calculation:
    """A statement that arithmetic decides: a reading of the sandbox, see :mod:`foam_viz.lessons.sandbox`.

    Attributes:
        text: The statement, with the number in it.
        setting: The sandbox's setting.
        reading: Name of the reading.
        value: What it is said to be.
        tolerance: How far it may be from it, relative.
    """

    text: str
    setting: Mapping[str, float | str]
    reading: str
    value: float
    tolerance: float = 0.02


@dataclass(frozen=True)
class Sketch:
    """A curve that the learner draws before the reveal: the training loss of each lane of an experiment.

    Attributes:
        across: What the lanes differ in: title of the axis on which they stand.
        low, high: Ends of the axis of losses, which is linear.
        stage: Which experiment. The loss of its first lane is given, those of the others are drawn.
    """

    across: str
    low: float
    high: float
    stage: int = 0


@dataclass(frozen=True)
class Prediction:
    """What the learner is asked before the reveal.

    Attributes:
        question: The question.
        choices: Two to five answers.
        right: Position of the answer that the measurement supports.
        sketch: What can be drawn besides; None where a choice says it all.
    """

    question: str
    choices: Sequence[str]
    right: int
    sketch: Sketch | None = None


@dataclass(frozen=True)
class Source:
    """Where something stands: a title and an address."""

    title: str
    url: str = ""


@dataclass(frozen=True)
class Lesson:
    """A guided experiment of a few minutes.

    Attributes:
        id: Stable name, in links and file names.
        title: A short question, as the learner sees it.
        question: What is asked, and why it matters; a short paragraph.
        prediction: What the learner predicts first.
        stages: The experiments; none where the sandbox is all there is.
        why: The explanation after the reveal, paragraph by paragraph.
        claims: What training must show.
        numbers: Those of the prose that training decides, by the name in braces that stands for them there.
        calculations: What arithmetic must show; a lesson with calculations has the sandbox.
        sandbox: The setting that the sandbox opens with; empty without one.
        try_yourself: What to change next, each a sentence.
        sources: Where the idea comes from.
    """

    id: str
    title: str
    question: str
    prediction: Prediction
    why: Sequence[str]
    stages: Sequence[Stage] = ()
    claims: Sequence[Claim] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)
    calculations: Sequence[Calculation] = ()
    sandbox: Mapping[str, float | str] = field(default_factory=dict)
    try_yourself: Sequence[str] = ()
    sources: Sequence[Source] = ()
