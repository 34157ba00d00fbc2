"""The sandbox of a lesson: build a factor, change it, and read every measure of staleness."""

from __future__ import annotations

from math import floor, log10
from typing import Any

import streamlit as st

from foam_viz.lessons.lesson import Lesson
from foam_viz.lessons.sandbox import FIELDS, Readings, read
from foam_viz.optim.fields import Field, FieldError
from foam_viz.trace.numbers import number
from foam_viz.ui import charts

_CHANGES = {
    "turn-top": "Turn two large directions",
    "turn-bottom": "Turn two small directions",
    "swap-bottom": "Swap two small eigenvalues",
    "scale": "Scale the factor",
    "add-mass": "Add mass to the smallest",
    "none": "Change nothing",
}
_DECADES = [10.0**power for power in range(-14, 10)]
_READINGS = (
    ("h", "h", "FOAM's proxy RC α / p: the drift, whitened by the old spectrum. FOAM acts when it exceeds τ."),
    ("residual", "Residual r", "Share of B = QᵀAQ off its diagonal, by Frobenius norm. Purifying Shampoo's alarm."),
    ("operator_error", "Error of the inverse root", "‖X fresh − X stale‖ / ‖X stale‖."),
    ("update_error", "Error of the update", "Of gradients that the new factor describes, before grafting."),
    ("grafted_error", "Error after grafting", "The same once both updates have one length."),
    ("next_epsilon", "Next ε", "ε h / τ where h exceeds τ, never under ε: the damping that FOAM would choose."),
)


def sandbox(lesson: Lesson) -> None:
    """Draw the controls, what every measure says, and the two spectra."""
    st.markdown("### Sandbox\nBuild a factor, change it after it was decomposed, and see which alarm notices.")
    controls, shown = st.columns([2, 3], gap="large")
    with controls:
        setting = {}
        for first in range(0, len(FIELDS), 2):
            for column, field in zip(st.columns(2), FIELDS[first : first + 2], strict=False):
                with column:
                    setting[field.name] = _control(lesson, field)
    try:
        readings = read(setting)
    except FieldError as error:
        shown.error(str(error))
        return
    with shown:
        _readings(readings)
        _spectra(readings)


def _control(lesson: Lesson, field: Field) -> Any:
    default = lesson.sandbox.get(field.name, field.default)
    key = f"sandbox-{lesson.id}-{field.name}"
    if field.kind == "choice":
        return st.selectbox(
            field.label, field.choices, index=field.choices.index(default), format_func=_CHANGES.__getitem__, key=key,
            help=field.help,
        )  # fmt: skip
    assert field.low is not None and field.high is not None  # every number of the sandbox has a range
    if field.kind == "integer":
        return st.number_input(field.label, int(field.low), int(field.high), int(default), key=key, help=field.help)
    start = float(default)
    decade = 10.0 ** floor(log10(start)) if start > 0 else 1.0  # one press changes the first digit
    return st.number_input(
        field.label, float(field.low), float(field.high), start, decade,
        format="%e" if decade < 1e-3 else "%g", key=key, help=field.help,
    )  # fmt: skip


def _readings(readings: Readings) -> None:
    for first in range(0, len(_READINGS), 3):
        for column, (name, label, words) in zip(st.columns(3), _READINGS[first : first + 3], strict=True):
            column.metric(label, number(getattr(readings, name)), help=words, border=True)


def _spectra(readings: Readings) -> None:
    rows = [
        {"direction": position + 1, "eigenvalue": float(value), "factor": name}
        for name, values in (("as decomposed", readings.stale_spectrum), ("now", readings.spectrum))
        for position, value in enumerate(values)
        if value > 0
    ]
    st.vega_lite_chart(
        {
            "data": {"values": rows},
            "mark": {"type": "line"},
            "height": 280,
            "encoding": {
                "x": {"field": "direction", "type": "quantitative", "title": "Direction, largest first"},
                "y": {
                    "field": "eigenvalue",
                    "type": "quantitative",
                    "scale": {"type": "log"},
                    "title": "Eigenvalue, gradient²",
                    "axis": {"values": _DECADES, "format": ".0e", "gridOpacity": 0.3},
                },
                "color": {"field": "factor", "type": "nominal", "legend": {"orient": "top", "title": None}},
                # Where the spectrum has not changed, one line lies on the other: the one under it is the wider.
                "strokeWidth": {"field": "factor", "type": "nominal", "legend": None, "scale": {"range": [7, 2]}},
                "strokeOpacity": {"field": "factor", "type": "nominal", "legend": None, "scale": {"range": [0.4, 1]}},
            },
            "config": charts.config(),
        },
        width="stretch",
    )
