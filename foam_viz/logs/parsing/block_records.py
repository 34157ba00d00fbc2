"""From lines to records: by the grammar of :mod:`foam_viz.logs.parsing.blocks`, else by names and values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from foam_viz.logs.core.column_names import role_of, words
from foam_viz.logs.parsing.blocks import Block
from foam_viz.logs.parsing.cells import parse_number
from foam_viz.logs.parsing.line_bars import bar_of
from foam_viz.logs.parsing.line_pairs import needs_split, values_of
from foam_viz.logs.parsing.line_prefix import rank_of, split_prefix
from foam_viz.logs.parsing.line_shapes import ShapeCache, shape_of
from foam_viz.logs.parsing.patterns import Pattern, PatternMatch
from foam_viz.logs.parsing.record import BAR, EVALUATION_BAR, Record, is_step
from foam_viz.logs.parsing.text_lines import LogText

Match = re.Match[str] | PatternMatch

STEP_LINE, EPOCH_LINE, LOOSE_LINE = "line with a step", "line with an epoch", "line without a step"
TOKENS_LINE = "line with tokens"
_SAYS_HOW_IT_GOES = frozenset({"loss", "held_out_loss", "accuracy", "learning_rate", "gradient_norm", "tokens"})
_SCORES = frozenset({"loss", "held_out_loss"})
_PLURALS = ("steps", "iterations", "iters", "updates", "batches", "epochs")
_MOSTLY_VALUES = 0.5
_ONLY_A_STEP = 60
_PAIR_GROUPS = {"name", "value", "section"}
_TOTALS = ("step", "epoch")
_MOST_COLUMNS = 60
_GAP = re.compile(r"\s*\|\s*|\t+|\s{2,}")
_TWO_WORDS = re.compile(
    r"(?:train(?:ing)?|valid(?:ation)?|val|test|eval|learning|grad(?:ient)?|remaining|total)\s\w+|\S+", re.IGNORECASE
)
_FIELD = re.compile(r"[^\s|]+")


class Records:
    """Takes lines in order, gives records.

    Args:
        blocks: The styles to look for.
        loose: Whether lines in no style count where they hold names and values.

    Attributes:
        seen: Lines that were looked at.
        spans: Whether to keep where values were found, for a preview.
    """

    def __init__(self, blocks: Sequence[Block], *, loose: bool = True) -> None:
        self._blocks = blocks
        self._loose = loose
        self.spans = False
        self._open: Record | None = None
        self._block: Block | None = None
        self._section = ""
        self._columns: list[str] = []
        self._closed = False
        self._in_a_row = False
        self._openers: ShapeCache[tuple[Block, ...]] = ShapeCache()
        self._without_bar: ShapeCache[bool] = ShapeCache()
        self.seen = 0

    def of(self, text: LogText, most_lines: int = 0) -> Iterator[Record]:
        """Yield the records of a text; ``seen`` counts the lines.

        Args:
            text: A log.
            most_lines: Lines to look at; 0 for all.
        """
        joined = [block for block in self._blocks if block.hint in text.text]
        for number, line in text.lines():
            if most_lines and self.seen >= most_lines:
                break
            if not line.strip():
                continue
            self.seen += 1
            yield from self._take(number, line, joined)
        yield from self._close()

    def _take(self, number: int, line: str, blocks: Sequence[Block]) -> Iterator[Record]:
        date, rest = split_prefix(line)
        if self._block is not None:
            if self._goes_on(number, line, rest):
                if self._closed:
                    yield from self._close()
                elif self._columns:
                    yield from self._given()
                return
            yield from self._close()
        shape = shape_of(rest) if self._loose else ""
        for block in self._that_open(shape, rest, blocks) if self._loose else blocks:
            found = _opens(block, rest)
            if found is not None and self._start(block, found, number, line, rest, date):
                if not block.inside and not block.columns:
                    yield from self._close()
                return
            if found is not None and block.ignored:
                self._in_a_row = False
                return
        record = self._loose_record(number, rest, shape, date) if self._loose else None
        self._in_a_row = record is not None
        if record is not None:
            if "rank" in line[:80].lower() or line[:6].partition(": ")[0].strip().isdecimal():
                record.rank = rank_of(line, has_step=record.has_step())
            yield record

    def _that_open(self, shape: str, rest: str, blocks: Sequence[Block]) -> tuple[Block, ...]:
        """Return the styles that lines of a shape open; those of the catalogue ask for no certain digit."""
        known = self._openers.get(shape)
        if known is None:
            known = self._openers.keep(shape, tuple(block for block in blocks if _opens(block, rest)))
        return known

    # A record in a style.

    def _start(self, block: Block, found: Match, number: int, line: str, rest: str, date: str) -> bool:
        self._section = ""
        if block.ignored:
            return False
        if block.columns:
            self._columns = _column_names(rest, block)
            self._block = block if self._columns else None
            return bool(self._columns)
        self._block = block
        record = Record(block.name, number, {}, block.lands, last=block.last, only_epoch=block.only_epoch)
        self._open = record
        if block.opening is None or "name" in found.re.groupindex:
            self._read(record, found.re, rest)
        else:
            _add_groups(record.cells, found, block)
            if block.rest:
                others = rest[: found.start()] + " " + rest[found.end() :]
                values = values_of(others, block.split, averages=block.averages).values
                if "step" in record.cells and any(is_step(name) for name in values):
                    record.cells["batch"] = record.cells.pop("step")  # the line counts steps through all epochs too
                _add(record.cells, values, block)
        if date:
            record.cells.setdefault("timestamp", date)
        self._show(record, number, line, rest, found)
        return True

    def _goes_on(self, number: int, line: str, rest: str) -> bool:
        """Take a line into the open record; returns false where it does not belong there."""
        block = self._block
        assert block is not None
        if self._columns:
            cells = _row(rest, self._columns)
            if cells is None:
                return _is_rule(rest)
            self._open = Record(block.name, number, cells, block.lands, last="%|" in rest)
            self._show(self._open, number, line, rest, None)
            return True
        record = self._open
        if record is None or block.opening is not None and block.opening.search(rest):
            return False
        found = block.closing.search(rest) if block.closing is not None else None
        closes = found is not None
        if found is None and block.interior is not None:
            found = block.interior.search(rest)
        if found is None:
            return False
        self._read(record, found.re, rest)
        record.lines += 1
        self._show(record, number, line, rest, found)
        if closes:
            self._closed = True
        return True

    def _read(self, record: Record, expression: re.Pattern[str] | Pattern, rest: str) -> None:
        assert self._block is not None
        if expression.groupindex:
            for found in expression.finditer(rest):
                groups: dict[str, str | None] = found.groupdict()
                self._section = (groups.get("section") or self._section).strip()
                key, value = groups.get("name"), groups.get("value")
                if key and value is not None:
                    name = self._section + key.strip()
                    if self._block.split and needs_split(name):
                        name = f"{self._block.split}/{name}"
                    _add(record.cells, {name: value.strip()}, self._block)
                _add_groups(record.cells, found, self._block)
                if not _PAIR_GROUPS & set(groups):
                    break
        else:
            _add(record.cells, values_of(rest, self._block.split, averages=self._block.averages).values, self._block)

    def _given(self) -> Iterator[Record]:
        record, self._open = self._open, None
        if record is not None and (record.cells or record.only_epoch):
            self._in_a_row = True
            yield record

    def _close(self) -> Iterator[Record]:
        self._block, self._columns, self._closed = None, [], False
        yield from self._given()

    def _show(self, record: Record, number: int, line: str, rest: str, found: Match | None) -> None:
        if not self.spans:
            return
        shift = len(line) - len(rest) if line.endswith(rest) else 0
        groups = range(1, found.re.groups + 1) if found is not None else ()
        spans = [found.span(group) for group in groups if found is not None and found.start(group) >= 0]
        record.spans.append((number, line, [(start + shift, end + shift) for start, end in spans]))

    # A line in no style.

    def _loose_record(self, number: int, rest: str, shape: str, date: str) -> Record | None:
        bar = None
        if shape not in self._without_bar:
            bar = bar_of(rest)
            if bar is None:
                self._without_bar.keep(shape, True)
        pairs = values_of(rest if bar is None else bar.rest)
        cells = pairs.values
        kind, lands = STEP_LINE, None
        steps = [name for name in cells if is_step(name)]
        if bar is not None:
            kind = EVALUATION_BAR if bar.evaluates else BAR
            place = f"{bar.place}/{bar.total}" if bar.total else str(bar.place)
            if bar.evaluates:
                cells = {name: value for name, value in cells.items() if role_of(name).kind not in ("step", "epoch")}
                lands = "before"
            elif bar.counts_epochs:
                if not cells:  # a bar around those of the epochs
                    return Record("epoch heading", number, {"epoch": place}, only_epoch=True)
                cells.setdefault("epoch", place)
            elif not steps:
                cells["step"] = place
            if not cells or not bar.evaluates and not bar.may_train and len(cells) == 1:
                return None
        elif not cells:
            return None
        all_kinds = {role_of(name).kind for name in cells}
        kinds = all_kinds - {"step", "epoch", "timestamp"}
        if bar is None and not (steps or any(is_step(name) for name in cells)):
            if "epoch" in all_kinds:
                if not kinds:
                    return None
                kind = EPOCH_LINE
            elif "tokens" in kinds and kinds & _SCORES and pairs.share >= _MOSTLY_VALUES:
                return Record(TOKENS_LINE, number, {**cells, **({"timestamp": date} if date else {})}, lands="own")
            elif (kinds & _SAYS_HOW_IT_GOES or self._in_a_row) and pairs.share >= _MOSTLY_VALUES:
                kind = LOOSE_LINE
            else:
                return None
        elif bar is None and not kinds and not _only_a_step(steps, rest, pairs.start):
            return None
        if date:
            cells["timestamp"] = date
        return Record(kind, number, cells, lands, last=kind == EVALUATION_BAR, bar=bar)


def _opens(block: Block, rest: str) -> Match | None:
    if block.hint and block.hint not in rest:
        return None
    expression = block.opening or block.interior
    return expression.search(rest) if expression is not None else None


def _add_groups(cells: dict[str, str], found: Match, block: Block) -> None:
    groups = {name: value.strip() for name, value in found.groupdict().items() if value is not None}
    for name in _TOTALS:
        total = groups.pop(f"{name}_total", "")
        if name in groups and total.isdecimal():
            groups[name] += f"/{total}"
    _add(cells, {name: value for name, value in groups.items() if name not in _PAIR_GROUPS}, block)


def _add(cells: dict[str, str], values: dict[str, str], block: Block) -> None:
    for name, value in values.items():
        cells.setdefault(block.names.get(name, name), value)


def _only_a_step(steps: list[str], rest: str, start: int) -> bool:
    """Say whether a line is no more than the heading of a step: ``Step 10/500:`` and not ``Total steps: 500``."""
    plural = any(words(name)[-1:] and words(name)[-1] in _PLURALS for name in steps)
    return bool(steps) and not plural and len(rest) <= _ONLY_A_STEP and not rest[:start].strip(" \t[(<*#=-—>|:")


def _column_names(heading: str, block: Block) -> list[str]:
    """Return the names in the heading of a table, none when it is no such heading."""
    parts = [part for part in _GAP.split(heading.strip().strip("|").strip()) if part]
    if len(parts) < 3:
        parts = _TWO_WORDS.findall(heading)
    names = [block.names.get(part, part) for part in parts]
    if not 3 <= len(names) <= _MOST_COLUMNS or len(set(names)) < len(names):
        return []
    places = [name for name in names if is_step(name) or role_of(name).kind == "epoch"]
    return names if places else []


def _row(line: str, names: Sequence[str]) -> dict[str, str] | None:
    """Return the cells of a line below a heading; what follows a progress bar's percentage is no cell."""
    if "|" in line and "%|" not in line:
        return _piped_row(line, names)
    fields = [one.rstrip(":") for one in _FIELD.findall(line.partition("%|")[0])]
    if len(fields) == len(names) + 1 and "%|" in line:
        fields = fields[:-1]
    if len(fields) < len(names) or len(fields) > len(names) + 2:
        return None
    numbers = [parse_number(one.partition("/")[0]) for one in fields[: len(names)]]
    return dict(zip(names, fields, strict=False)) if all(number is not None for number in numbers) else None


def _piped_row(line: str, names: Sequence[str]) -> dict[str, str] | None:
    """Return the cells of a line whose columns are parted by bars; some may be text, its place in the run may not."""
    fields = [one.strip() for one in line.strip().strip("|").split("|")]
    if len(fields) != len(names):
        return None
    cells = {
        name: one
        for name, one in zip(names, fields, strict=True)
        if one and parse_number(one.partition("/")[0]) is not None
    }
    placed = any(is_step(name) or role_of(name).kind == "epoch" for name in cells)
    return cells if placed and len(cells) > 1 else None


def _is_rule(line: str) -> bool:
    return not line.strip(" \t|-=+:─━")
