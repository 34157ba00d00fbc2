"""Everything that may stand in the link of a page: one typed catalogue drives the link, its checks and the defaults.

What the reader looks at is described by :data:`foam_viz.figures.look_fields.FIELDS`; a configuration by the catalogues
of tasks and optimizers, which :mod:`foam_viz.experiment.links` reads and writes. Files and corrections are never in a
link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from foam_viz.analysis.replay_setting import REPLAYABLE
from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.figures.catalogue import PRESETS
from foam_viz.figures.look_fields import BY_NAME as LOOK
from foam_viz.figures.look_fields import MOST_METRICS
from foam_viz.lessons.catalogue import BY_ID as LESSONS_BY_ID
from foam_viz.optim.fields import NONE_TEXT, Field, FieldError, unknown_key
from foam_viz.optim.optimizer_fields import EIGENVALUES
from foam_viz.optim.refresh_fields import EPSILON, EPSILON_MAX, PERIOD, TAU

TABS = {"runs": "What was recognised", "inspect": "Inspect one", "compare": "Compare many"}
VIEWS = {"what-if": "What if", "calibrate": "Calibrate", "sweep": "Sweep"}
SPEEDS: dict[str, float | None] = {"1": 1.0, "5": 5.0, "25": 25.0, "full": None}
"""Steps a second that the lab offers, as a link writes them; None for as many as the machine can."""
CONTROLS = {
    "turn": "Back and Next",
    "time": "Time cursor",
    "panels": "Choice of panels",
    "run": "Run it live",
    "class": "The class",
}
"""What a presenter may have on the screen beside what is presented."""
KEPT = "kept"
"""In the place of names that are too long for a link: the browser that made the link remembers them."""
LONGEST_NAMES = 3000
"""Characters of a list of names at most; whole addresses beyond some 8,000 are cut by servers on their way."""

_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,300}")


@dataclass(frozen=True, kw_only=True)
class Text:
    """A name in a link.

    Attributes:
        name: The key of the value.
        form: What the whole text must look like.
        words: That in words; reads on from "must be".
        default: Value where the link does not say.
    """

    name: str
    form: re.Pattern[str]
    words: str
    default: str | None = None

    def parse(self, text: str) -> str:
        """Return the name.

        Raises:
            FieldError: It has another form.
        """
        if not self.form.fullmatch(text):
            raise FieldError(self.name, text, self.words)
        return text

    def format(self, value: Any) -> str:
        """Return the name as a link writes it."""
        return str(value)


@dataclass(frozen=True)
class Item:
    """One value of a link.

    Attributes:
        field: What the value may be.
        key: Its name in the link; the field's own where empty.
        most: How many values there may be; the key is repeated for each. A list that is empty is written "none".
    """

    field: Field | Text
    key: str = ""
    most: int = 1

    @property
    def name(self) -> str:
        """Name of the value, for the page as in the link."""
        return self.key or self.field.name

    @property
    def default(self) -> Any:
        """Value where the link does not say."""
        return self.field.default

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value of a link.

        Raises:
            FieldError: A text is none of its values; it names the key of the link.
        """
        try:
            if self.most == 1:
                return self.field.parse(texts[-1])
            if list(texts) == [NONE_TEXT]:
                return ()
            if len(texts) > self.most:
                raise FieldError(self.name, f"{len(texts)} values", f"at most {self.most}; the first are kept")
            parsed = (self.field.parse(text) for text in dict.fromkeys(texts))
            return tuple(name for item in parsed for name in (item if isinstance(item, tuple) else (item,)))
        except FieldError as error:
            raise FieldError(self.name, error.value, error.allowed, error.remedy) from None

    def write(self, value: Any, *, whole: bool = False) -> list[str]:
        """Return the texts of a value, none for the default.

        Args:
            value: What to write.
            whole: Write all of a list that is too long for a link.
        """
        value = tuple(value) if isinstance(value, list) else value
        if value == self.default:
            return []
        if self.most == 1:
            return [self.field.format(value)]
        texts = [text if isinstance(text, str) else self.field.format(text) for text in value] or [NONE_TEXT]
        return texts if whole or sum(map(len, texts)) <= LONGEST_NAMES else [KEPT]


def _run(name: str) -> Text:
    return Text(name=name, form=_LINE, words="the name of an open run")


def _view_id(name: str) -> Text:
    return Text(name=name, form=re.compile("[0-9a-f]{32}"), words="the view id of a run: 32 hexadecimal digits")


_SPEED = Field(
    name="steps_per_second", kind="choice", default="full", choices=tuple(SPEEDS), label="Speed",
    help="How fast steps are made.",
)  # fmt: skip
_TAB = Field(
    name="tab", kind="choice", default="compare", choices=tuple(TABS), label="View",
    help="What the page shows of the runs that are open.",
)  # fmt: skip
CARDS = ("metrics", *PANELS)
"""What a reader can choose to see, by id; ``metrics`` stands for the cards of all further metrics."""
_CARDS = Item(
    Field(name="panel", kind="choice", default=(), choices=(*PRESETS, *CARDS), label="Cards",
          help="The cards that are shown, or the name of a preset; all of them where none is chosen."),
    most=len(CARDS),
)  # fmt: skip
_COMPARED = ("x", "log_x", "log_y", "smoothing", "scale", "raw", "seeds", "target")

LAB: tuple[Item, ...] = (
    Item(_view_id("run")),
    Item(LOOK["factor"]),
    Item(LOOK["lane"], "followed_lane"),
    Item(LOOK["quantity"]),
    Item(LOOK["loss_axis"]),
    Item(LOOK["loss_log"]),
    Item(LOOK["measure"]),
    Item(LOOK["cost"]),
    Item(LOOK["side_by_side"]),
    Item(LOOK["at"], "moment"),
    _CARDS,
    Item(_SPEED),
    Item(Text(name="device", form=re.compile(r"[a-z0-9:]{1,20}"), words="auto or a device of this server",
              default="auto")),
)  # fmt: skip
LOGS: tuple[Item, ...] = (
    Item(_TAB),
    *(Item(LOOK[name]) for name in _COMPARED),
    Item(LOOK["read_at"], "at"),
    Item(LOOK["metrics"], "metric", most=MOST_METRICS),
    Item(Text(name="sample", form=_LINE, words="the name of a recorded sample"), most=100),
    Item(_view_id("live")),
    Item(_run("run")),
    Item(_run("runs"), most=500),
    Item(_run("baseline")),
    Item(_run("front")),
    Item(LOOK["factor"]),
    Item(LOOK["loss_axis"]),
    Item(LOOK["loss_log"]),
    Item(LOOK["measure"]),
    Item(LOOK["at"], "moment"),
    _CARDS,
)
LESSONS: tuple[Item, ...] = (
    Item(Field(name="lesson", kind="choice", default=None, choices=(None, *LESSONS_BY_ID), label="Lesson",
               help="Which lesson is open; none for the course.")),
    Item(Field(name="stage", kind="integer", default=0, low=0, high=9, label="Experiment",
               help="Which experiment of the lesson is shown, counted from 0.")),
    Item(Field(name="present", kind="boolean", default=False, label="Present",
               help="Shows the lesson to a class: large, one thing at a time.")),
    Item(Field(name="slide", kind="integer", default=0, low=0, high=20, label="Slide",
               help="Which part of the lesson a presenter shows, counted from 0.")),
    Item(Field(name="control", kind="choice", default=("turn", "time", "run", "class"), choices=tuple(CONTROLS),
               label="Controls", help="What a presenter has on the screen."), most=len(CONTROLS)),
    Item(Field(name="panel", kind="choice", default=(), choices=tuple(PANELS), label="Panels",
               help="The panels that are shown; none for those of the experiment."), most=len(PANELS)),
    Item(LOOK["at"], "moment"),
    Item(Text(name="class", form=re.compile("[0-9a-f]{12}"), words="the code of a class: 12 hexadecimal digits")),
)  # fmt: skip
_TRIED = {"period": PERIOD, "tau": TAU, "epsilon": EPSILON, "epsilon_max": EPSILON_MAX, "eigenvalues": EIGENVALUES}
THRESHOLD: tuple[Item, ...] = (
    Item(Text(name="run", form=re.compile(r"sample:[0-9A-Za-z+._-]{1,120}|[0-9a-f]{32}:[0-5]"),
              words="sample:NAME, or the view id of a run, a colon and the number of its lane from 0")),
    Item(Field(name="optimizer", kind="choice", default=None, choices=(None, *REPLAYABLE), label="Policy",
               help="When to decompose. The recorded run's own where nothing is chosen.")),
    *(Item(replace(one, default=None, optional=True)) for one in _TRIED.values()),
    Item(Field(name="color", kind="choice", default="decompositions",
               choices=("decompositions", "error_left", "directions_damped"), label="Map shows",
               help="What colours the map of τ and εₘₐₓ.")),
    Item(Field(name="work", kind="choice", default="decompositions", choices=("decompositions", "kernel_seconds"),
               label="Front against", help="What is paid for the error left.")),
    Item(Field(name="view", kind="choice", default="what-if", choices=tuple(VIEWS), label="View",
               help="What the page shows of the run.")),
    Item(Field(name="truth", kind="boolean", default=True, label="Train it, too",
               help="Really trains the chosen setting in the background once the sliders rest, where that takes "
               "seconds: the same seed, then two more.")),
    Item(LOOK["factor"]),
)  # fmt: skip
"""A setting that is left out is the recorded run's own."""
PAGES: dict[str, tuple[Item, ...]] = {"lab": LAB, "logs": LOGS, "lessons": LESSONS, "threshold": THRESHOLD}
"""By page, what its link may say besides a configuration."""

Query = dict[str, list[str]]


def defaults(page: str) -> dict[str, Any]:
    """Return the values of a page that was opened without a link."""
    return {item.name: item.default for item in PAGES[page]}


def field(page: str, name: str) -> Field:
    """Return a setting of a page that a widget offers.

    Raises:
        KeyError: The page has none of this name, or it is a text.
    """
    found = {item.name: item.field for item in PAGES[page]}[name]
    if not isinstance(found, Field):
        raise KeyError(name)
    return found


def read(page: str, query: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], list[FieldError], Query]:
    """Return the values of a link, complete and checked, what was refused, and the keys that are none of the page's.

    A value that is refused is named with its range and has its default; the rest of the link holds.
    """
    values, refused = defaults(page), []
    items = {item.name: item for item in PAGES[page]}
    rest: Query = {}
    for key, texts in query.items():
        if not texts:
            continue
        if key not in items:
            rest[key] = list(texts)
            continue
        item = items[key]
        try:
            values[item.name] = item.read(texts)
        except FieldError as error:
            refused.append(error)
            if item.most > 1 and len(texts) > item.most:
                values[item.name] = item.read(texts[: item.most])
    return values, refused, rest


def write(page: str, values: Mapping[str, Any], *, whole: bool = False) -> Query:
    """Return the query of a link: only what differs from a page that was opened without one.

    Args:
        page: Whose link.
        values: All values of the page.
        whole: Write lists that are too long for a link, too: for what is not sent over the network.
    """
    return {item.name: texts for item in PAGES[page] if (texts := item.write(values[item.name], whole=whole))}


def unknown(page: str, rest: Mapping[str, Sequence[str]]) -> list[FieldError]:
    """Return an error for each key that no value of the page has, with the close ones named."""
    return [unknown_key(key[:80], [item.name for item in PAGES[page]]) for key in rest]


def shown() -> Query:
    """Return the query of the page's address."""
    return {key: st.query_params.get_all(key) for key in st.query_params}


def tell(query: Mapping[str, Sequence[str]]) -> None:
    """Tell the browser the query of the page's address.

    After a link to the page that is shown, Streamlit's browser draws the link's query and keeps the old one: in its
    address, and in what it asks for next. Where it has the query already, nothing happens there.
    """
    st.query_params.from_dict({key: list(texts) for key, texts in query.items()})


def show(query: Mapping[str, Sequence[str]]) -> None:
    """Put a query into the page's address, unless it is there."""
    if shown() != {key: list(texts) for key, texts in query.items()}:
        st.query_params.from_dict({key: list(texts) for key, texts in query.items()})
