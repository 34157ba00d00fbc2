"""One widget for each kind of catalogue field; what a widget shows is always the field's own text and range."""

from __future__ import annotations

from typing import Any

import streamlit as st

from foam_viz.optim.fields import Field, FieldError
from foam_viz.ui.text import plain

_NONE = "none"


def _help(field: Field) -> str:
    return f"{field.help} Allowed: {plain(field.allowed())}."


def _label(field: Field) -> str:
    symbol = f" {field.symbol}" if field.symbol else ""
    unit = f" ({field.unit})" if field.unit else ""
    return f"{field.label}{symbol}{unit}"


def _initial(field: Field, value: Any) -> Any:
    """The widget's own value for a setting."""
    if field.kind == "choice":
        return value
    if field.kind in ("boolean",):
        return bool(value)
    if field.kind == "integer" and not field.optional:
        return int(value)
    return field.format(value)


def field_widget(field: Field, key: str, value: Any, *, disabled: bool = False) -> Any:
    """Draws the widget of a field and returns its setting.

    A text that the field refuses is kept in the box, explained under it, and replaced by the value in force.

    Args:
        field: What is set.
        key: Key of the widget.
        value: The setting in force; the widget starts from it.
        disabled: Shows it without letting it change.
    """
    if key not in st.session_state:
        st.session_state[key] = _initial(field, value)
    label, help_text = _label(field), _help(field)
    if field.kind == "boolean":
        return st.toggle(label, key=key, help=help_text, disabled=disabled)
    if field.kind == "choice":
        return st.selectbox(
            label,
            field.choices,
            key=key,
            help=help_text,
            disabled=disabled,
            format_func=lambda choice: _NONE if choice is None else str(choice),
        )
    if field.kind == "integer" and not field.optional:
        low = None if field.low is None else int(field.low) + int(field.low_open)
        high = None if field.high is None else int(field.high) - int(field.high_open)
        return st.number_input(label, min_value=low, max_value=high, step=1, key=key, help=help_text, disabled=disabled)
    text = st.text_input(label, key=key, help=help_text, disabled=disabled)
    try:
        return field.parse(text)
    except FieldError as error:
        st.caption(f":red[{plain(error)}; still {plain(field.format(value))}]")
        return value
