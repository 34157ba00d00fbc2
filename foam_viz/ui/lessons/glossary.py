"""The page Glossary: every term, symbol and hyperparameter, with its formula."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import streamlit as st

from foam_viz.lessons.glossary import TERMS
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import Field
from foam_viz.ui.server import hub


def glossary() -> None:
    """Draw the page."""
    hub()
    st.title("Glossary", anchor=False)
    st.markdown(
        "Terms with a dotted line on any page say this when you point at them or tap them. F2 steps through them."
    )
    sought = st.text_input("Find", key="glossary-find", placeholder="damping, h, overlap …").strip().casefold()
    entries = [*_terms(), *_settings()]
    found = [(name, text) for name, text in entries if sought in f"{name} {text}".casefold()]
    if not found:
        st.info("No entry contains this text.")
        return
    st.html('<dl class="foam-glossary">' + "".join(text for _, text in found) + "</dl>")


def _entry(name: str, words: str, formula: str = "", more: str = "") -> tuple[str, str]:
    code = f"<code>{escape(formula)}</code>" if formula else ""
    small = f"<small>{escape(more)}</small>" if more else ""
    return name, f"<dt>{escape(name)}</dt><dd>{escape(words)} {code} {small}</dd>"


def _terms() -> Iterator[tuple[str, str]]:
    for term in sorted(TERMS, key=lambda term: term.name.casefold()):
        also = f"Also: {', '.join(term.also)}. " if term.also else ""
        source = f"Source: {term.source}." if term.source else ""
        yield _entry(term.name, term.words, term.formula, also + source)


def _settings() -> Iterator[tuple[str, str]]:
    """Hyperparameters, each once, however many optimizers have it."""
    known: dict[tuple[str, str], tuple[Field, list[str]]] = {}
    for spec in OPTIMIZERS.values():
        for field in spec.all_fields:
            known.setdefault((field.name, field.help), (field, []))[1].append(spec.label)
    for field, users in sorted(known.values(), key=lambda item: item[0].label.casefold()):
        unit = f" Unit: {field.unit}." if field.unit else ""
        few = users if len(users) < len(OPTIMIZERS) else ["all"]
        yield _entry(
            f"{field.label}{f' {field.symbol}' if field.symbol else ''} (setting {field.name})",
            f"{field.help}. Allowed: {field.allowed()}.{unit}".replace("..", "."),
            more=f"Of: {', '.join(few)}.",
        )
