"""Text logs of any program: lines that hold a step and numbers under names, however they are set.

``step=10 loss=2.3``, ``Step: 10/500 | Loss: 2.3``, ``iter 10: loss 2.3, time 12.3ms``, ``{'loss': 2.3, 'epoch': 0.1}``
and progress bars are found as they are; a pattern with named groups does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from foam_viz.logs.cells import parse_column
from foam_viz.logs.column_names import role_of
from foam_viz.logs.epochs import Planned
from foam_viz.logs.labels import Table
from foam_viz.logs.line_pairs import pairs_of
from foam_viz.logs.patterns import Pattern, PatternError
from foam_viz.logs.reader import Group, LogFile, Options, Reader
from foam_viz.logs.table import traces_of_tables
from foam_viz.logs.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

PREVIEWED = 20
_ENOUGH = 3
_LOOKED_AT = 3000
_TAIL_BYTES = 65536
_MOST_KEYS = 500


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim text files in which at least three lines hold a step, or an epoch, and another number."""
    return [(file,) for file in files if looks_like_text(file.head) and _holds_lines(file)]


def _holds_lines(file: LogFile) -> bool:
    if _count_lines(LogText.of_head(file)) >= _ENOUGH:
        return True
    if file.size <= len(file.head):
        return False
    with file.path.open("rb") as stream:  # much may be printed before training starts
        stream.seek(max(0, file.size - _TAIL_BYTES))
        return _count_lines(LogText(stream.read().decode("utf-8", errors="replace"))) >= _ENOUGH


def _count_lines(text: LogText) -> int:
    count = 0
    for number, (_, line) in enumerate(text.lines()):
        if number > _LOOKED_AT or count >= _ENOUGH:
            break
        count += bool(_kept(pairs_of(line)))
    return count


def _kept(pairs: dict[str, str]) -> dict[str, str]:
    """Return the pairs of a line that belongs to a log: it has a step or an epoch, and something else."""
    kinds = [role_of(key).kind for key in pairs]
    return pairs if ("step" in kinds or "epoch" in kinds) and len(set(kinds) - {"step", "epoch", "timestamp"}) else {}


def preview(file: LogFile, pattern: str) -> list[tuple[int, dict[str, str]]]:
    """Return the first twenty lines that a pattern takes: their numbers from 1 and what each group holds.

    Args:
        file: A text log.
        pattern: See :attr:`Options.line_pattern`; empty for the built-in one.

    Raises:
        LogError: The pattern cannot be compiled, or no group of it is a step.
    """
    found = []
    for number, groups in _matches(file, LogText.of(file), pattern):
        found.append((number, groups))
        if len(found) >= PREVIEWED:
            break
    return found


def compiled(file: LogFile, pattern: str) -> Pattern:
    """Compile a pattern of the user.

    Raises:
        LogError: It cannot be compiled, or it has no named group that is a step.
    """
    try:
        expression = Pattern(pattern)
    except PatternError as error:
        place = f"pattern {pattern[:200]}"
        raise file.problem(
            place, f"cannot be compiled: {error}", "it is a regular expression as RE2 has them"
        ) from error
    names = expression.names
    if not any(role_of(name).kind == "step" for name in names):
        has = f"its groups are {', '.join(names)}" if names else "it has no named group"
        remedy = r"name one, for example (?P<step>\d+)"
        raise file.problem(f"pattern {pattern[:200]}", f"has no group for the step: {has}", remedy)
    return expression


def _matches(file: LogFile, text: LogText, pattern: str) -> Iterator[tuple[int, dict[str, str]]]:
    if not pattern:
        for number, line in text.lines():
            groups = _kept(pairs_of(line))
            if groups:
                yield number, groups
        return
    expression = compiled(file, pattern)
    for number, line in text.lines():
        found = expression.search(line)
        if found is not None:
            yield number, found


def read(group: Group, options: Options) -> list[Trace]:
    """Read one file.

    Raises:
        LogError: No line holds a step and a number, or the user's pattern is of no use.
    """
    (file,) = group
    text = LogText.of(file)
    cells: dict[str, list[str | None]] = {}
    totals: dict[str, Counter[int]] = {}
    rows = 0
    left: set[str] = set()
    for _, groups in _matches(file, text, options.line_pattern):
        for key, value in groups.items():
            if key not in cells and len(cells) >= _MOST_KEYS:
                left.add(key)
                continue
            number, _, total = value.partition("/")
            if total.strip().isdecimal():
                totals.setdefault(key, Counter())[int(total.strip()[:15])] += 1
                value = number
            column = cells.setdefault(key, [])
            column += [None] * (rows - len(column))
            column.append(value)
        rows += 1
    if not rows:
        reason = (
            "no line holds a step and a number under a name"
            if not options.line_pattern
            else "the pattern takes no line"
        )
        raise file.problem("", reason, "give a pattern with named groups, one of them step")
    table = Table([], notes=[*text.notes, *text.length_notes()])
    lines = text.text.count("\n") + (not text.text.endswith("\n"))
    table.notes.append(
        f"{rows:,} of {lines:,} lines hold values" + (" by the pattern given." if options.line_pattern else ".")
    )
    if left:
        table.notes.append(f"{len(left):,} further names were left out: more than {_MOST_KEYS} different ones.")
    for column in cells.values():
        column += [None] * (rows - len(column))
    _unite_steps(cells)
    for key, column in cells.items():
        parsed = parse_column(key, column)
        if parsed is None:
            table.texts[key] = np.array(column, object)
        else:
            table.series.append(parsed.series)
            table.notes += parsed.notes
    planned = Planned(_total_of("step", table, totals), _total_of("epoch", table, totals))
    return traces_of_tables([table], group, READER.name, options, planned=planned)


def _total_of(kind: str, table: Table, totals: dict[str, Counter[int]]) -> int:
    """Return the total that stands most often behind the best column of a kind; 0 without one."""
    names = [one.name for one in table.series if role_of(one.name).kind == kind]
    best = min(names, key=lambda name: role_of(name).penalty, default="")
    return totals[best].most_common(1)[0][0] if best in totals else 0


def _unite_steps(cells: dict[str, list[str | None]]) -> None:
    """Lines of training may say ``iter`` where those of evaluation say ``step``: one column where never both stand."""
    names = [name for name in cells if role_of(name).kind == "step"]
    names.sort(key=lambda name: sum(cell is not None for cell in cells[name]), reverse=True)
    for name in names[1:]:
        main, other = cells[names[0]], cells[name]
        if all(a is None or b is None for a, b in zip(main, other, strict=True)):
            cells[names[0]] = [b if a is None else a for a, b in zip(main, other, strict=True)]
            del cells[name]


READER = Reader(
    name="key-value",
    label="Text log",
    summary="Lines such as step=10 loss=2.3 or Step: 10 | Loss: 2.3; the pattern can be changed.",
    find=find,
    read=read,
)
