"""One widget for each kind of catalogue field; what a widget shows is always the field's own text and range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from foam_viz.optim.fields import Field, FieldError
from foam_viz.ui.text import plain

_NONE = "none"
_UNSAID = object()


@contextmanager
def popover(label: str, key: str, **more: Any) -> Iterator[bool]:
    """A popover whose content is drawn while it is open only: closed, it would cost every click of the page.

    Args:
        label: On its button.
        key: Of its widget.
        more: Further arguments of ``st.popover``.

    Yields:
        Whether it is open.
    """
    box = st.popover(label, key=key, on_change="rerun", **more)
    with box:
        yield bool(box.open)


def keep(*keys: str) -> None:
    """Keep what widgets say that this run does not draw; Streamlit forgets it otherwise.

    Args:
        keys: Of the widgets. Those that were drawn, or never were, are passed over.
    """
    context = get_script_run_ctx()
    drawn = context.shared.widget_user_keys_this_run if context else ()
    for key in keys:
        if key in st.session_state and key not in drawn:
            st.session_state[key] = st.session_state[key]


def field_help(field: Field) -> str:
    """What the setting means, and what it may be."""
    return f"{field.help} Allowed: {plain(field.allowed())}."


def field_label(field: Field) -> str:
    """Its title, with symbol and unit."""
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


def read_fields(
    fields: Iterable[Field], prefix: str, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, FieldError]]:
    """Return what the widgets of fields say now, drawn or not, and what they cannot be.

    Args:
        fields: What is set.
        prefix: Of the widgets' keys, before the name of the field.
        settings: The settings in force; those of fields whose widgets were never drawn, or say nothing of use.

    Returns:
        The settings, and by name what was refused.
    """
    values, refused = {}, {}
    for field in fields:
        shown = st.session_state.get(f"{prefix}.{field.name}", _UNSAID)
        try:
            values[field.name] = settings[field.name] if shown is _UNSAID else _value(field, shown)
        except FieldError as error:
            values[field.name], refused[field.name] = settings[field.name], error
    return values, refused


def _value(field: Field, shown: Any) -> Any:
    return field.parse(shown) if isinstance(shown, str) and field.kind != "choice" else field.check(shown)


def field_widget(field: Field, key: str, value: Any, error: FieldError | None = None) -> None:
    """Draw the widget of a field; :func:`read_fields` says what it holds.

    Args:
        field: What is set.
        key: Key of the widget.
        value: The setting in force; the widget starts from it.
        error: Why what it holds cannot be; shown under the widget, which keeps what was typed.
    """
    if key not in st.session_state:
        st.session_state[key] = _initial(field, value)
    label, help_text = field_label(field), field_help(field)
    if field.kind == "boolean":
        st.toggle(label, key=key, help=help_text)
    elif field.kind == "choice":
        st.selectbox(
            label,
            field.choices,
            key=key,
            help=help_text,
            format_func=lambda choice: _NONE if choice is None else str(choice),
        )
    elif field.kind == "integer" and not field.optional:
        low = None if field.low is None else int(field.low) + int(field.low_open)
        high = None if field.high is None else int(field.high) - int(field.high_open)
        st.number_input(label, min_value=low, max_value=high, step=1, key=key, help=help_text)
    else:
        st.text_input(label, key=key, help=help_text)
    if error is not None:
        st.caption(f":red[{plain(error)}]")
