"""Which records count: of several processes those of one, of the states of a progress bar the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from foam_viz.logs.core.column_names import HELD_OUT, TEST, role_of, words
from foam_viz.logs.parsing.record import BAR, EVALUATION_BAR, Record
from foam_viz.logs.parsing.text_lines import counted


def of_one_rank(records: list[Record], notes: list[str]) -> list[Record]:
    """Several processes that write the same names at the same steps: the values of the lowest rank count."""
    ranks = Counter(record.rank for record in records if record.rank is not None and record.has_step())
    if len(ranks) < 2 or min(ranks.values()) < 2 or max(ranks) > 100_000:
        return records
    first = min(ranks)
    told = {frozenset(record.cells) for record in records if record.rank == first}
    steps = {_step_text(record) for record in records if record.rank == first}
    left = [
        record
        for record in records
        if record.rank not in (None, first) and frozenset(record.cells) in told and _step_text(record) in steps
    ]
    if len(left) < 0.5 * sum(count for rank, count in ranks.items() if rank != first):
        return records
    notes.append(
        f"{len(ranks):,} processes write the same names: the values of rank {first} count; "
        f"{counted(len(left), 'line')} of other ranks left out."
    )
    gone = set(map(id, left))
    return [record for record in records if id(record) not in gone]


def _step_text(record: Record) -> str:
    return next((value for name, value in record.cells.items() if role_of(name).kind == "step"), "")


def evaluation_bars_told(records: list[Record]) -> list[Record]:
    """Bars without a label that alternate between two totals: the shorter ones evaluate."""
    bars = [
        (record, record.bar) for record in records if record.kind == BAR and record.bar is not None and record.bar.total
    ]
    totals = [bar.total for _, bar in bars if not bar.may_train or not bar.label]
    segments = [total for position, total in enumerate(totals) if not position or totals[position - 1] != total]
    often = Counter(segments)
    if len(often) < 2 or min(often.values()) < 2:
        return records
    longest = max(often)
    for record, bar in bars:
        if bar.total < longest and (not bar.may_train or not bar.label):
            record.kind, record.lands, record.last = EVALUATION_BAR, "before", True
            record.cells = {
                (name if _is_held_out(name) else f"val/{name}"): value
                for name, value in record.cells.items()
                if role_of(name).kind not in ("step", "epoch")
            }
    return [record for record in records if record.cells or record.only_epoch]


def _is_held_out(name: str) -> bool:
    return bool((HELD_OUT | TEST) & set(words(name)))


def only_last(records: list[Record], notes: list[str]) -> list[Record]:
    """Of records of a kind that follow each other, each a later state of the same, keep the last."""
    kept: list[Record] = []
    left: Counter[str] = Counter()
    for record in records:
        before = kept[-1] if kept else None
        if (
            before is not None
            and record.last
            and before.last
            and before.kind == record.kind
            and _goes_on(before, record)
        ):
            left[record.kind] += 1
            for name, value in before.cells.items():
                record.cells.setdefault(name, value)
            kept.pop()
        kept.append(record)
    notes += [
        f"{kind.capitalize()}: only the last of its states counts; {n:,} earlier left out." for kind, n in left.items()
    ]
    return kept


def _goes_on(before: Record, record: Record) -> bool:
    """Say whether a state does not fall behind the one before."""
    if epoch_of(before) != epoch_of(record):
        return False
    first, second = (_step_of(one) for one in (before, record))
    return first is None or second is None or second >= first


def _step_of(record: Record) -> int | None:
    text = f"{record.bar.place}" if record.bar is not None else record.cells.get("step", "").partition("/")[0]
    return int(text) if text.isdecimal() and len(text) < 16 else None


def without_stale(records: Sequence[Record], notes: list[str]) -> None:
    """A bar shows the last held-out value until there is another: each was measured once."""
    last: dict[str, str] = {}
    stale = 0
    for record in records:
        if record.kind != BAR:
            continue
        for name in [name for name in record.cells if _is_held_out(name)]:
            if last.get(name) == record.cells[name]:
                del record.cells[name]
                stale += 1
            else:
                last[name] = record.cells[name]
    if stale:
        notes.append(f"Held-out values that a bar went on showing were taken once; {stale:,} repeats left out.")


def epoch_of(record: Record) -> str:
    """The epoch that a record tells, as text; empty where it tells none."""
    return next((value for name, value in record.cells.items() if role_of(name).kind == "epoch"), "")
