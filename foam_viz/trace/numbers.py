"""Numbers as text, the same in every panel, table and line of the command line."""

from __future__ import annotations

import math

THIN = "\u202f"
"""Narrow no-break space, between a number and its unit."""


def number(value: float | None, unit: str = "") -> str:
    """A measured number as text: three significant digits, 3.0e-7 for small and large ones, thousands separated.

    Args:
        value: anything numeric; None and NaN become an en dash.
        unit: put after a thin space.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    tail = f"{THIN}{unit}" if unit else ""
    if isinstance(value, float) and math.isinf(value):
        return ("∞" if value > 0 else "−∞") + tail
    size = abs(value)
    if isinstance(value, int) or 999.5 <= size < 999_500:
        return f"{value:,.0f}{tail}"
    if size == 0:
        return f"0{tail}"
    if size < 1e-3 or size >= 999_500:
        mantissa, exponent = f"{value:.2e}".split("e")
        if mantissa.endswith("0"):
            mantissa = mantissa[:-1]
        return f"{mantissa}e{int(exponent)}{tail}"
    digits = max(0, 2 - math.floor(math.log10(float(f"{size:.2e}"))))
    return f"{value:.{digits}f}{tail}"


def setting(value: float | None) -> str:
    """A number somebody chose, as short as it was written: 0.75, 3e-7, 1e-9."""
    if value is None:
        return "–"
    text = f"{value:g}" if 1e-3 <= abs(value) < 1e7 or value == 0 else f"{value:e}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """A share of one as a percentage with a thin space: "41 %"."""
    value = 100 * share
    digits = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}{THIN}%"
