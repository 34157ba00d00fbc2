"""Typed fields: the one description of a setting that constructors, the UI, the CLI, links and exports all read.

A field knows its type, range, default and how it is written as text; it checks a value or says what would be
allowed. Nothing here imports more than the standard library, so that every process may read the catalogues.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, Literal

NONE_TEXT = "none"
LARGEST = 1e30
"""Largest size of a real number without a limit of its own: beyond it, training in single precision overflows."""
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class FieldError(ValueError):
    """A value that a field refuses.

    Attributes:
        field: Name of the field.
        value: What was given.
        allowed: What would be allowed, in words; reads on from "must be".
        remedy: What to do about it; empty where ``allowed`` says so.
    """

    def __init__(self, field: str, value: object, allowed: str, remedy: str = "") -> None:
        super().__init__(field, value, allowed, remedy)
        self.field, self.value, self.allowed, self.remedy = field, value, allowed, remedy

    def __str__(self) -> str:
        shown = NONE_TEXT if self.value is None else str(self.value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return f"{self.field} = {shown}: must be {self.allowed}{'; ' if self.remedy else ''}{self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One setting.

    Attributes:
        name: The key in settings, links and ``--set``.
        kind: Type of the value.
        default: Value of a setting that is not given.
        label: Title of the control.
        help: One line that explains the symbol.
        symbol: The symbol of the formulas, as text.
        unit: Unit of the value; empty where it has none.
        low: Smallest value; ``None`` for no limit but that of ``LARGEST`` for a real number.
        high: Largest value; ``None`` likewise.
        low_open: Whether ``low`` itself is refused.
        high_open: Whether ``high`` itself is refused.
        choices: The values of a choice.
        optional: Whether ``None`` is allowed, written "none" as text.
        logarithmic: Whether a control offers it on a logarithmic scale.
        editable: Whether a run may take another value while it trains.
        fixed: Of a setting that is not editable, why; reads on from "it stays as it is, since".
    """

    name: str
    kind: Literal["integer", "real", "choice", "boolean"]
    default: Any
    label: str
    help: str
    symbol: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str | None, ...] = ()
    optional: bool = False
    logarithmic: bool = False
    editable: bool = False
    fixed: str = ""

    def allowed(self) -> str:
        """The range in words: "a number strictly between 0 and 1"."""
        if self.kind == "boolean":
            words = "true or false"
        elif self.kind == "choice":
            words = "one of " + ", ".join(NONE_TEXT if c is None else c for c in self.choices)
        else:
            words = self._interval()
        return f"{words}, or {NONE_TEXT}" if self.optional else words

    def _interval(self) -> str:
        noun = "an integer" if self.kind == "integer" else "a number"
        low, high = self._limits
        if low is None and high is None:
            return noun
        if low is not None and high is not None:
            if self.low_open and self.high_open:
                return f"{noun} strictly between {format_number(low)} and {format_number(high)}"
            if not self.low_open and not self.high_open:
                return f"{noun} from {format_number(low)} to {format_number(high)}"
        parts = []
        if low is not None:
            parts.append(f"{'above' if self.low_open else 'at least'} {format_number(low)}")
        if high is not None:
            parts.append(f"{'below' if self.high_open else 'at most'} {format_number(high)}")
        return f"{noun} {' and '.join(parts)}"

    @property
    def _limits(self) -> tuple[float | None, float | None]:
        if self.kind != "real":
            return self.low, self.high
        return -LARGEST if self.low is None else self.low, LARGEST if self.high is None else self.high

    def check(self, value: object) -> Any:
        """The value in its own type.

        Args:
            value: Any object. 10.0 is an integer; a bool is no number; text is not read here (see ``parse``).

        Raises:
            FieldError: The value has another type, is not finite or lies outside the range.
        """
        if value is None and (self.optional or (self.kind == "choice" and None in self.choices)):
            return None
        if self.kind == "boolean":
            if isinstance(value, bool):
                return value
        elif self.kind == "choice":
            if isinstance(value, str) and value in self.choices:
                return value
        elif isinstance(value, Real) and not isinstance(value, bool) and self._contains(value):
            number: Any = value  # a Real of numpy too; the abstract class has no order and no int()
            if self.kind == "real":
                return float(number)
            if isinstance(value, Integral) or float(number).is_integer():
                return int(number)
        raise self._refusal(value)

    def _refusal(self, value: object) -> FieldError:
        number = self.kind in ("integer", "real") and self.default is not None
        remedy = f"for example {self.format(self.default)}, the default" if number else ""
        return FieldError(self.name, value, self.allowed(), remedy)

    def _contains(self, value: Any) -> bool:
        if not isinstance(value, Integral) and not math.isfinite(value):
            return False
        low, high = self._limits
        number: Any = value
        if low is not None and (number < low or (self.low_open and number == low)):
            return False
        return not (high is not None and (number > high or (self.high_open and number == high)))

    def parse(self, text: str) -> Any:
        """Reads the value from text, as a link or a command line carries it.

        Raises:
            FieldError: The text is no value of this field.
        """
        word = text.strip()
        folded = word.lower()
        if folded == NONE_TEXT and (self.optional or None in self.choices):
            return None
        if self.kind == "choice":
            return self.check(folded if folded in self.choices else word)
        if self.kind == "boolean":
            if folded not in _TRUE + _FALSE:
                raise self._refusal(text)
            return folded in _TRUE
        try:
            value = int(word) if self.kind == "integer" and word.lstrip("+-").isdecimal() else float(word)
            return self.check(value)
        except (ValueError, OverflowError):
            raise self._refusal(text) from None

    def format(self, value: object) -> str:
        """The shortest text that ``parse`` gives the value back from: ``3e-7``, not ``3e-07``."""
        if value is None:
            return NONE_TEXT
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else format_number(value)


def format_number(value: Any) -> str:
    """Shortest text of a number that reads back exactly: 10, 0.75, 3e-7, 1e16."""
    text = repr(float(value)) if not isinstance(value, Integral) else str(int(value))
    mantissa, mark, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".0")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def with_defaults(fields: Iterable[Field], defaults: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields with other defaults where some are given by name."""
    return tuple(replace(f, default=defaults[f.name]) if f.name in defaults else f for f in fields)


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A relation between fields, such as ``epsilon_max >= epsilon``.

    Attributes:
        field: The field that is blamed and reset first.
        others: The other fields of the relation.
        holds: The relation, on complete settings.
        allowed: What would be allowed for ``field``; ``{name}`` stands for the value of a field.
    """

    field: str
    others: tuple[str, ...]
    holds: Callable[[Mapping[str, Any]], bool]
    allowed: str


def unknown_key(key: str, known: Iterable[str]) -> FieldError:
    """The error for a key that no field has, with the close ones named."""
    names = sorted(known)
    close = get_close_matches(key.lower(), names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(names)}"
    return FieldError(key, "(unknown setting)", f"a known setting; {hint}")


def check_all(
    fields: Iterable[Field], settings: Mapping[str, object], constraints: Iterable[Constraint] = ()
) -> tuple[dict[str, Any], list[FieldError]]:
    """Checks settings as a whole and keeps what is good.

    Args:
        fields: The fields that may be set.
        settings: Values by name; what is missing takes its default.
        constraints: Relations that the complete settings must satisfy.

    Returns:
        The complete settings, refused values replaced by defaults, and every error in the order of the fields,
        then unknown keys, then constraints.
    """
    by_name = {field.name: field for field in fields}
    complete = {name: field.default for name, field in by_name.items()}
    errors: list[FieldError] = []
    for name, field in by_name.items():
        if name in settings:
            try:
                complete[name] = field.check(settings[name])
            except FieldError as error:
                errors.append(error)
    errors += [unknown_key(str(key), by_name) for key in settings if key not in by_name]
    for constraint in constraints:
        if constraint.holds(complete):
            continue
        named = {name: by_name[name].format(complete[name]) for name in (constraint.field, *constraint.others)}
        errors.append(FieldError(constraint.field, named[constraint.field], constraint.allowed.format_map(named)))
        complete[constraint.field] = by_name[constraint.field].default
        if not constraint.holds(complete):  # the default does not fit the others either
            complete |= {name: by_name[name].default for name in constraint.others}
    return complete, errors


def require(
    fields: Iterable[Field], settings: Mapping[str, object], constraints: Iterable[Constraint] = ()
) -> dict[str, Any]:
    """``check_all`` for a caller that cannot go on with defaults.

    Raises:
        FieldError: The first problem found.
    """
    complete, errors = check_all(fields, settings, constraints)
    if errors:
        raise errors[0]
    return complete
