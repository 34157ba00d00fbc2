"""Dates as manifests keep them."""

from __future__ import annotations

from datetime import UTC, datetime

_YEAR_10000 = 253_402_300_800


def iso_date(time: object, per_second: int = 1) -> str:
    """Return the date at a time after 1970, UTC; empty where the value is no date between 1970 and 9999.

    Args:
        time: A number or its text.
        per_second: Units of the time in a second: 1000 for milliseconds.
    """
    try:
        value = float(str(time)) / per_second
    except ValueError:
        return ""
    # Before the call: what a platform's clock makes of larger numbers differs.
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds") if 0 < value < _YEAR_10000 else ""
