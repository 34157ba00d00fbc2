"""The messages of the feed: every field that may come from a client is checked here. docs/feed.md documents them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME
from foam_viz.optim.fields import FieldError

MESSAGE_BYTES = 2048
"""Of one message of a client, at most."""

_MOST_WHOLE = 2**53 - 1
_MOST_PANELS = 64
_SOURCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z:+._-]{0,199}")
_REVISION = re.compile(r"[0-9a-f]{16}")


class Refused(ValueError):
    """A message that is not of the protocol; the text says which field, and what it must be. It quotes no value."""


@dataclass(frozen=True)
class Request:
    """All that a client wants: the newest one holds.

    Attributes:
        n: Number of the request; it rises.
        source: What is looked at.
        look: How.
        panels: Panels that are in view; others are not drawn.
        have: Revision of each panel that the client holds.
        hidden: Whether the page is out of sight; it is sent nothing then.
        page: Whether it is the board of a page, whose browser the hub knows by the page.
    """

    n: int
    source: str
    look: Look = Look()
    panels: frozenset[str] = frozenset()
    have: Mapping[str, str] | None = None
    hidden: bool = False
    page: bool = False


@dataclass(frozen=True)
class Got:
    """The client has applied a frame.

    Attributes:
        k: Number of the frame.
    """

    k: int


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f"{name} must be a whole number from {least:,} to {most:,}.")
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false.")
    return value


def is_source(value: object) -> TypeGuard[str]:
    """Say whether a value has the form of a source's id."""
    return isinstance(value, str) and _SOURCE.fullmatch(value) is not None


def _source(name: str, value: Any) -> str:
    if not is_source(value):
        raise Refused(f"{name} must be the id of a source.")
    return value


def _panels(name: str, value: Any) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > _MOST_PANELS or not all(isinstance(item, str) for item in value):
        raise Refused(f"{name} must be a list of at most {_MOST_PANELS} ids of panels.")
    return frozenset(value)


def _have(name: str, value: Any) -> dict[str, str]:
    if (
        not isinstance(value, dict)
        or len(value) > _MOST_PANELS
        or not all(isinstance(item, str) and _REVISION.fullmatch(item) for item in value.values())
    ):
        raise Refused(f"{name} must give the revision, 16 hexadecimal digits, of at most {_MOST_PANELS} panels.")
    return value


def _look(name: str, value: Any) -> Look:
    if not isinstance(value, dict):
        raise Refused("The look must be a JSON object.")
    try:
        return Look.of(value)
    except FieldError as error:
        if error.field not in BY_NAME:
            raise Refused(f"The look has an unknown field; known are {', '.join(BY_NAME)}.") from None
        raise Refused(f"{error.field} must be {error.allowed}.") from None


REQUEST: Mapping[str, Callable[[str, Any], Any]] = {
    "n": _whole(0, _MOST_WHOLE),
    "source": _source,
    "look": _look,
    "panels": _panels,
    "have": _have,
    "hidden": _flag,
    "page": _flag,
}
"""Fields of a request, each with its check; the first two must be there."""

GOT: Mapping[str, Callable[[str, Any], Any]] = {"got": _whole(0, _MOST_WHOLE)}
"""The one field of the message that a frame was applied."""

FRAME = (
    "k", "n", "incarnation", "revision", "pace", "busy", "at", "first", "last", "lanes", "status", "focus", "follows",
    "factors", "factor", "outline", "absent", "panels",
)  # fmt: skip
"""Fields of a frame."""

LANE = ("position", "label", "cells", "state", "follows")
"""Fields of a lane in a frame."""

PANEL = (
    "id", "revision", "title", "help", "columns", "height", "table", "choices", "reading", "moment", "empty", "text",
    "figure",
)  # fmt: skip
"""Fields of a panel in a frame."""

CHOICE = ("name", "kind", "label", "help", "default", "values")
"""Fields of a choice that a card offers."""

PLACE = ("id", "title", "help", "columns", "height", "table", "choices")
"""Those of a panel that is out of view."""

PROBLEM = ("k", "n", "problem", "again")
"""Fields of a frame that has nothing to show but a sentence."""


def parse(message: str) -> Request | Got:
    """Return what a message of a client says.

    Raises:
        Refused: It is longer than allowed, no JSON object, or a field is unknown, missing or not what it must be.
    """
    if len(message) > MESSAGE_BYTES or len(message.encode()) > MESSAGE_BYTES:
        raise Refused(f"A message may have {MESSAGE_BYTES:,} bytes at most.")
    try:
        told = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Refused("A message must be a JSON object.") from None
    if isinstance(told, dict) and "got" in told:
        return Got(_checked("the message", told, GOT)["got"])
    found = _checked("the message", told, REQUEST)
    if "n" not in found or "source" not in found:
        raise Refused("A request must have n and source.")
    return Request(**found)


def _checked(name: str, told: Any, fields: Mapping[str, Callable[[str, Any], Any]]) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Refused(f"{name[:1].upper()}{name[1:]} must be a JSON object.")
    if not told.keys() <= fields.keys():
        raise Refused(f"{name[:1].upper()}{name[1:]} has an unknown field; known are {', '.join(fields)}.")
    return {field: fields[field](field, value) for field, value in told.items()}
