"""From a moment and a look to the bytes of a frame: panels are drawn and deflated once for all who see them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

import orjson

from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME, WORDS
from foam_viz.figures.panel import Drawing, PanelSpec
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui.feed.deflated import Part, deflated, joined, stored
from foam_viz.ui.feed.once import Once
from foam_viz.ui.feed.protocol import Refused
from foam_viz.ui.feed.source import Moment
from foam_viz.ui.isolation import drawing, isolated

_ROOM = 16 * 2**20
"""Bytes of drawn panels that are kept."""
_PANEL_BYTES = 1024
"""What a panel takes besides its content: its key, with the look, and what the allocator adds."""
_CONTENTS = 64
"""Answers that are kept: a class asks the same."""
_MOST_FACTORS = 300
"""Factors whose names stand in a list; of more, the factor map alone chooses."""
_PASTS = 16
"""Sets of lanes at earlier steps that are kept."""


@dataclass(frozen=True)
class Encoded:
    """A piece of a frame.

    Attributes:
        revision: Of the content.
        part: The content, deflated.
    """

    revision: str
    part: Part


class Frames:
    """Makes frames. All calls come from one event loop.

    Args:
        pool: Where panels are drawn.
    """

    def __init__(self, pool: Executor) -> None:
        self.drawn: Once[Encoded] = Once(pool, _ROOM, lambda panel: len(panel.part.content) + _PANEL_BYTES)
        self._lanes: Once[tuple[Lane, ...]] = Once(pool, _PASTS)
        self._contents: OrderedDict[tuple, Content] = OrderedDict()

    async def content(self, moment: Moment, look: Look, panels: frozenset[str]) -> Content:
        """Return what a look at a moment shows.

        Args:
            moment: Of the source.
            look: Of the reader.
            panels: Ids of those in view.

        Raises:
            Refused: There is no such lane or factor.
        """
        asked = (*moment.key, look, panels)
        if asked not in self._contents:
            self._contents[asked] = await self._made(moment, settled(look, moment), panels)
            while len(self._contents) > _CONTENTS:
                self._contents.popitem(last=False)
        return self._contents[asked]

    def ready(self, moment: Moment, look: Look, panels: frozenset[str]) -> bool:
        """Say whether what a look at a moment shows is drawn."""
        return (*moment.key, look, panels) in self._contents

    async def head(self, moment: Moment, look: Look, have: Mapping[str, str]) -> Content:
        """Return what stands over the panels of a moment, with the panels that a client holds.

        Args:
            moment: Of the source.
            look: Of the reader, at no earlier step.
            have: Revision of each panel that the client holds.

        Raises:
            Refused: There is no such lane or factor.
        """
        made = await self._head(moment, moment.lanes, settled(look, moment))
        return Content(moment, made, {name: Encoded(revision, _COMMA) for name, revision in have.items()})

    def drop(self, source: str, *, drawings: bool) -> None:
        """Let go of what holds the runs of a source that nobody looks at any more.

        Args:
            source: Id of the source.
            drawings: Whether its drawings go too.
        """
        self._lanes.drop(source)
        for asked in [asked for asked in self._contents if asked[0] == source]:
            del self._contents[asked]
        if drawings:
            self.drawn.drop(source)

    async def _head(self, moment: Moment, lanes: tuple[Lane, ...], look: Look) -> Encoded:
        return await self.drawn.get((*moment.key, look.at, look.lane, look.factor), partial(_head, moment, lanes, look))

    async def _made(self, moment: Moment, look: Look, panels: frozenset[str]) -> Content:
        key = moment.key_at(look.at)
        lanes = moment.lanes
        if look.at is not None:
            lanes = await self._lanes.get(key, partial(moment.lanes_at, look.at))
        scene = Scene(lanes, look, bands=moment.bands)
        over_time, grown = scene, key
        if look.at is not None:  # what is drawn over time has the axes of the run as it is now
            now = zip(lanes, moment.lanes, strict=True)
            over_time = replace(scene, lanes=tuple(replace(then, whole=lane.trace) for then, lane in now))
            grown = (*moment.key, look.at)
        wanted = [spec for spec in moment.panels if spec.id in panels]
        head, *made = await asyncio.gather(
            self._head(moment, lanes, look),
            *(
                self.drawn.get((*grown, spec.key(look), spec.id), partial(encoded, spec, over_time))
                if spec.over_time
                else self.drawn.get((*key, spec.key(look), spec.id), partial(encoded, spec, scene))
                for spec in wanted
            ),
        )
        return Content(moment, head, {spec.id: panel for spec, panel in zip(wanted, made, strict=True)})


@dataclass(frozen=True)
class Content:
    """What a look at a moment shows.

    Attributes:
        moment: Of the source.
        head: Status and table.
        panels: Those in view, by id.
    """

    moment: Moment
    head: Encoded
    panels: Mapping[str, Encoded]

    def revisions(self) -> dict[str, str]:
        """Return the revision of each panel in view."""
        return {name: panel.revision for name, panel in self.panels.items()}

    def frame(self, own: Mapping[str, Any], have: Mapping[str, str]) -> bytes:
        """Return a frame: deflated JSON.

        Args:
            own: Fields that are of this client alone.
            have: Revision of each panel that the client holds; those are not sent again.
        """
        parts = [stored(_json(own)[:-1] + b","), self.head.part, stored(b',"panels":[')]
        for position, spec in enumerate(self.moment.panels):
            if position:
                parts.append(_COMMA)
            panel = self.panels.get(spec.id)
            if panel is None:
                parts.append(
                    _place(spec.id, spec.title, spec.help, spec.columns, spec.height, spec.table, spec.choices)
                )
            elif have.get(spec.id) == panel.revision:
                parts.append(stored(_json({"id": spec.id, "revision": panel.revision})))
            else:
                parts.append(panel.part)
        return joined([*parts, _END])


def problem(k: int, n: int, words: str, again: bool) -> bytes:
    """Return a frame that has a sentence to show.

    Args:
        k: Number of the frame.
        n: Number of the request that it answers.
        words: For the reader.
        again: Whether it may go better when the client asks again.
    """
    return joined([deflated(_json({"k": k, "n": n, "problem": words, "again": again}))])


def settled(look: Look, moment: Moment) -> Look:
    """Return a look as the moment can be looked at: what is left to the run has the run's choice.

    Raises:
        Refused: There is no such lane or factor.
    """
    positions = [lane.position for lane in moment.lanes]
    if look.lane and look.lane not in positions:
        raise Refused(f"lane must be one of {', '.join(map(str, positions))}: there is no other.")
    look = replace(look, max_points=moment.points)
    lane = Scene(moment.lanes, replace(look, at=None)).focus
    if lane is None or not moment.follows:
        return replace(look, factor=None)
    if look.factor is None:
        position = moment.lanes.index(lane)
        return replace(look, factor=moment.followed[position] if position < len(moment.followed) else None)
    factors = len(lane.trace.manifest.factors)
    if look.factor >= factors:
        raise Refused(f"factor must be from 0 to {factors - 1:,}: the run has no other.")
    return look


def _head(moment: Moment, lanes: Sequence[Lane], look: Look) -> Encoded:
    chips, status = isolated(
        "The table of runs", lambda: moment.head(lanes, look.at), lambda line: ([], [("", line, line)])
    )
    factored = {lane.position for lane in lanes if moment.follows and lane.trace.manifest.factors}
    text = _json(
        {
            "incarnation": moment.incarnation,
            "revision": moment.revision,
            "at": look.at,
            "first": moment.first,
            "last": moment.last,
            "lanes": [
                {
                    "position": c.position,
                    "label": c.label,
                    "cells": c.cells,
                    "state": c.state,
                    "follows": c.position in factored,
                }
                for c in chips
            ],
            "status": status,
            "focus": look.lane if moment.follows else None,
            "follows": moment.follows,
            "factors": _factors(lanes, look) if moment.follows else [],
            "factor": look.factor if moment.follows else None,
            "outline": moment.outline,
            "absent": moment.absent,
        }
    )
    return Encoded("", deflated(text[1:-1]))


def _factors(lanes: Sequence[Lane], look: Look) -> list[str]:
    """Names of the factors of the lane followed; none where they are too many for a list."""
    lane = Scene(lanes, replace(look, at=None)).focus
    names = () if lane is None else lane.trace.manifest.factor_names
    return [name.with_shape for name in names] if len(names) <= _MOST_FACTORS else []


def encoded(spec: PanelSpec, scene: Scene) -> Encoded:
    """Return a panel, drawn and ready to be sent; one that cannot be says so in its card."""
    drawn = drawing(spec, scene)
    text = isolated(f"The panel {spec.title}", lambda: body(spec, drawn), lambda line: body(spec, Drawing(empty=line)))
    revision = blake2b(text, digest_size=8).hexdigest()
    return Encoded(revision, deflated(_json({"id": spec.id, "revision": revision})[:-1] + b"," + text[1:]))


def body(spec: PanelSpec, drawing: Drawing) -> bytes:
    """Return the fields of a panel as JSON, all but its id and revision."""
    return _json(
        {
            "title": drawing.title or spec.title,
            "help": spec.help,
            "columns": spec.columns,
            "height": spec.height,
            "table": spec.table,
            "choices": _choices(spec.choices),
            "reading": drawing.reading,
            "moment": drawing.moment,
            "empty": drawing.empty,
            "text": drawing.text,
            "figure": drawing.figure,
        }
    )


@lru_cache(maxsize=512)
def _place(name: str, title: str, words: str, columns: int, height: int, table: str, choices: tuple[str, ...]) -> Part:
    place = {"id": name, "title": title, "help": words, "columns": columns, "height": height, "table": table}
    return deflated(_json({**place, "choices": _choices(choices)}))


@lru_cache(maxsize=64)
def _choices(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """What a card offers to choose: fields of the look."""
    return [
        {
            "name": name,
            "kind": BY_NAME[name].kind,
            "label": BY_NAME[name].label,
            "help": BY_NAME[name].help,
            "default": BY_NAME[name].default,
            "values": list(WORDS.get(name, {}).items()),
        }
        for name in names
    ]


def _json(value: Any) -> bytes:
    """Plain values and numpy scalars as JSON; NaN and infinity, which JSON lacks, as null: a gap in a figure."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


_COMMA, _END = stored(b","), stored(b"]}")
