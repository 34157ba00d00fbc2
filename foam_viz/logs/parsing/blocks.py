"""The grammar of text logs whose records span lines, or begin in a way of their own: a style is data, not code.

A :class:`Block` says which line opens a record, which lines belong to it, which line closes it, and where its values
land. The styles of known programs are the entries of :mod:`foam_viz.logs.formats.block_catalogue`; what a user types as
a pattern is one more entry, in the form that :func:`parse` reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from foam_viz.logs.parsing.patterns import Pattern, PatternError

Lands = Literal["own", "before", "after"]
LANDS: dict[Lands, str] = {
    "own": "at their own step",
    "before": "at the step before",
    "after": "at the step that follows",
}
"""Where the values of a record land, and how to say it."""
_WRITTEN = ("opens", "inside", "closes", "lands", "columns")


@dataclass(frozen=True, kw_only=True)
class Block:
    r"""A style of records.

    Expressions are searched in a line without the date, level and rank before it. A named group is a value under its
    name; the groups ``name`` and ``value`` are a pair, found as often as they occur; ``section`` is put before the
    names that follow it. ``step_total`` and ``epoch_total`` are planned totals. An expression without named groups
    only recognises lines; the names and values of these are found as in any line.

    Attributes:
        name: What to call its records in notes.
        opens: Opens a record. Empty: every line that :attr:`inside` takes and that follows none opens one.
        inside: Belongs to an open record. Empty: a record is one line.
        closes: Ends a record; its values count. A record also ends at the next opening and at a line that is not
            inside.
        lands: Where the values of a record without a step go.
        hint: Text without which no line opens a record; saves time.
        rest: Whether other names and values of the opening line count.
        columns: The opening line holds names; each line that follows and has a number for each of them is a record.
        last: Of records that follow each other, only the last counts: states of an evaluation, redrawn bars.
        averages: Where a line says ``0.31 (0.29)``, the mean in brackets counts.
        split: Put before names that do not tell training from evaluation.
        names: Other names for some names.
        ignored: The line repeats what others say, or says nothing of the run.
        only_epoch: A record that only says which epoch the lines that follow, or went before, belong to.
        compiler: What makes an expression of a text; :class:`foam_viz.logs.parsing.patterns.Pattern` for what users
            typed.
    """

    name: str = "pattern"
    opens: str = ""
    inside: str = ""
    closes: str = ""
    lands: Lands = "own"
    hint: str = ""
    rest: bool = True
    columns: bool = False
    last: bool = False
    averages: bool = False
    split: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    ignored: bool = False
    only_epoch: bool = False
    compiler: Callable[[str], re.Pattern[str] | Pattern] = re.compile

    @cached_property
    def opening(self) -> re.Pattern[str] | Pattern | None:
        """The compiled :attr:`opens`."""
        return self.compiler(self.opens) if self.opens else None

    @cached_property
    def interior(self) -> re.Pattern[str] | Pattern | None:
        """The compiled :attr:`inside`."""
        return self.compiler(self.inside) if self.inside else None

    @cached_property
    def closing(self) -> re.Pattern[str] | Pattern | None:
        """The compiled :attr:`closes`."""
        return self.compiler(self.closes) if self.closes else None

    def groups(self) -> list[str]:
        """Return the names of all groups."""
        compiled = (self.opening, self.interior, self.closing)
        return list(dict.fromkeys(name for one in compiled if one is not None for name in one.groupindex))

    def inside_groups(self) -> list[str]:
        """Return the names of the groups of :attr:`inside`."""
        return list(self.interior.groupindex) if self.interior is not None else []

    def __str__(self) -> str:
        """Return the text that :func:`parse` reads."""
        parts = []
        for name in _WRITTEN:
            value = getattr(self, name)
            if value and value != "own":
                parts.append(f"{name}: {'yes' if value is True else value}")
        return "\n".join(parts)


def parse(text: str) -> Block:
    r"""Read what a user typed: one expression for lines that each are a record, or a line for each part of a grammar.

    For example ``opens: ^Epoch (?P<epoch>\d+)``, ``inside: (?P<name>\w+) = (?P<value>\S+)``, ``closes: ^---``,
    ``lands: before``, ``columns: yes``.

    Raises:
        PatternError: An expression cannot be compiled, or a part has no meaning; says which.
    """
    parts: dict[str, object] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    written = [re.match(rf"\s*({'|'.join(_WRITTEN)}):\s?(.*)", line) for line in lines]
    if not any(written):
        return _checked(Block(opens=text.strip(), rest=False, compiler=Pattern))
    for line, found in zip(lines, written, strict=True):
        if found is None:
            raise PatternError(f"{line.strip()[:80]!r} is no part of a grammar: its parts are {', '.join(_WRITTEN)}")
        parts[found[1]] = found[2].strip()
    if "columns" in parts:
        parts["columns"] = parts["columns"] in ("yes", "true", "1")
    if parts.get("lands", "own") not in get_args(Lands):
        raise PatternError(f"lands is {parts['lands']!r}, and must be one of {', '.join(get_args(Lands))}")
    groups = _compiled(str(parts.get("opens", ""))).groupindex
    return _checked(Block(**parts, rest=not groups, compiler=Pattern))  # type: ignore[arg-type]


def _compiled(expression: str) -> Pattern:
    try:
        return Pattern(expression)
    except PatternError as error:
        raise PatternError(f"cannot be compiled: {error}") from None


def _checked(block: Block) -> Block:
    for expression in (block.opens, block.inside, block.closes):
        _compiled(expression)
    if not block.opens and not block.inside:
        raise PatternError("opens and inside are empty: no line can be a record")
    return block
