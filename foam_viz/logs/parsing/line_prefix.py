"""What loggers print before a line: dates, levels, ranks, places in source code."""

from __future__ import annotations

import re

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_TIME = r"(?P<time>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
_ISO = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)[T _-]{1,2}" + _TIME
    + r"(?P<zone>Z|[+-]\d\d:?\d\d(?!:?\d))?"
)  # fmt: skip
_GLOG = re.compile(r"^\W{0,3}[IWEF](?P<year>\d{4})?(?P<month>\d\d)(?P<day>\d\d)\s+" + _TIME)
_YEAR_LAST = re.compile(r"(?<![\d/])(?P<first>\d\d?)/(?P<second>\d\d?)(?:/(?P<year>\d{4}))?,?[ T]" + _TIME)
_NAMED = re.compile(
    r"(?:(?P<before>\d\d?)\s+)?\b(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
    r"(?:\s+(?P<day>\d\d?),?)?(?:\s+(?P<year>\d{4}),?)?\s+" + _TIME + r"(?:\s+(?P<last>\d{4})\b)?",
    re.IGNORECASE,
)  # fmt: skip
_CLOCK = re.compile(r"(?<![\d:=])(?<![A-Za-z]: )(?<![A-Za-z]:)\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?![\d:])")
_LOOKED_AT = 80
_LEVEL = r"info|debug|warning|warn|error|critical|notice|trace|fatal"
_MARK = re.compile(
    rf"""(?:
      [IWEF]\d{{4,8}}\s+\d+\s+[\w./<>-]+:\d+\]                # what is left of a glog prefix
    | \d{{1,10}}\s+[\w./<>-]+\.(?:py|cc|cpp|h|cu|go|rs):\d+\]
    | [\[(]{{1,2}}\s*(?:(?:{_LEVEL})\s*[|:]\s*)?[\w./<>-]+:\d{{1,6}}(?::\w+)?(?:,\s*rank[ =:]?\d+)?\s*[\])]{{1,2}}
    | [\[(<]?\s*(?:global[ _]|local[ _])?(?:rank|gpu|node|worker)\s?[=:]?\s?\d+(?:/\d+)?\s*[\])>]:?
    | \([\w ]{{0,60}}pid=\d+[^)]{{0,60}}\)
    | \[\d+,\d+\]<\w+>:
    | [\[(]?\s*(?:{_LEVEL})\b\s*[\])]?(?::[A-Za-z_][\w.]*:(?=[A-Za-z{{(\[]))?:?
    | \(?[\w./-]+\.(?:py|cc|cpp|cu|go|rs)[: ]\d+[\])]{{0,2}}:?
    | [\w./-]{{1,40}}\s+(?:[-|]\s+)?(?-i:INFO|DEBUG|WARNING|ERROR)\b\s{{0,2}}[\]):|-]{{0,2}}
    | \[\s+[A-Za-z_][\w.-]*\]:?                              # where a date stood before a name
    | \[\s*\] | \(\s*\)
    )""",
    re.VERBOSE | re.IGNORECASE,
)

_RANK = re.compile(
    r"(?:^|[\s\[(<])(?:(?:global|local)[ _])?rank\s?[=:]?\s?(?P<rank>\d{1,5})(?=[\])>:,|\s])"
    r"|^\s{0,4}(?P<bare>\d{1,4}):\s",
    re.IGNORECASE,
)


def rank_of(line: str, *, has_step: bool) -> int | None:
    """Return the rank that a logger put before a line, ``[rank3]:``, ``(RANK 3)``; None without one.

    Args:
        line: The whole line.
        has_step: Whether a step stands in it under a name; only then is ``3:`` at its start a rank.
    """
    found = _RANK.search(line[:_LOOKED_AT])
    if found is None or found["rank"] is None and not has_step:
        return None
    return int(found["rank"] or found["bare"])


_DASH = re.compile(r"[-|]\s")
_WORD = re.compile(r"\S")


def split_prefix(line: str) -> tuple[str, str]:
    """Return the date of a line, empty without one, and the line without what its logger put before it.

    The date comes as ``2024-05-31 10:00:00``; without a year as ``--05-31 10:00:00``. Times without a day are
    dropped: they tell no clock.
    """
    date = ""
    head = line[:_LOOKED_AT]
    if ":" in head:
        found = _date(head)
        if found is not None:
            date, start, end = found
            line = line[:start] + " " + line[end:]
        if _CLOCK.search(line):
            line = _CLOCK.sub(" ", line)
    end = 0
    for _ in range(8):
        begins = _WORD.search(line, end)
        if begins is None:
            break
        mark = _MARK.match(line, begins.start()) or (_DASH.match(line, begins.start()) if date or end else None)
        if mark is None:
            break
        end = mark.end()
    return date, line[end:]


def _date(head: str) -> tuple[str, int, int] | None:
    if found := _GLOG.search(head):
        return _iso(found["year"], found["month"], found["day"], found["time"]), *found.span()
    if found := _ISO.search(head):
        zone = found["zone"] or ""
        return _iso(found["year"], found["month"], found["day"], found["time"]) + zone, *found.span()
    if found := _YEAR_LAST.search(head):
        first, second = found["first"], found["second"]
        month, day = (second, first) if int(first) > 12 else (first, second)
        return _iso(found["year"], month, day, found["time"]), *found.span()
    found = _NAMED.search(head)
    if found is not None and (found["day"] or found["before"]):
        month = str(_MONTHS.index(found["name"].lower()) + 1)
        year = found["year"] or found["last"]
        return _iso(year, month, found["day"] or found["before"], found["time"]), *found.span()
    return None


def _iso(year: str | None, month: str, day: str, time: str) -> str:
    start = f"{year}-" if year else "--"
    return f"{start}{int(month):02d}-{int(day):02d} {time.replace(',', '.')}"
