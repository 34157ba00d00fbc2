"""The few rules of style that Streamlit's theme cannot say, and the app's icon."""

from __future__ import annotations

import streamlit as st

from foam_viz.figures.theme import DARK, LIGHT

# A file of our own: Streamlit fetches named icons from the network.
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' "
    "rx='7' fill='%230B7A75'/%3E%3Cpath d='M5 23 11 12v11l6-14v14l5-8v8l5-5' fill='none' stroke='white' "
    "stroke-width='2.4' stroke-linejoin='round' stroke-linecap='round'/%3E%3C/svg%3E"
)

# Streamlit gives its own names for these to components alone; it does set the colour scheme of the page.
_COLOURS = "".join(
    f"--{name.replace('_', '-')}: light-dark({getattr(LIGHT, name)}, {getattr(DARK, name)}); "
    for name in ("paper", "accent", "soft_ink")
)

_CSS = """
.stMainBlockContainer { padding: 3.75rem 1.4rem 2rem; max-width: 1900px; }
/* Streamlit's faded greys, and its white on the bright accent of the dark theme, are too pale to read. */
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p, [data-testid="stWidgetLabel"] p,
  span[aria-hidden="true"] > [data-testid="stMarkdownContainer"] p { color: var(--soft-ink) !important; opacity: 1; }
[data-testid="stWidgetLabel"] p { color: inherit !important; }
button[kind="primary"]:not(:disabled), button[kind="primary"]:not(:disabled) p { color: var(--paper); }
.stSidebar [data-testid="stSidebarUserContent"] { padding-top: 0.5rem; }
[data-testid="stLayoutWrapper"]:has(> .st-key-strip) { position: sticky; top: 3.75rem; z-index: 20; }
/* Messages lie over the page, so that nothing moves when one comes or goes. */
[data-testid="stLayoutWrapper"]:has(> .st-key-messages) { position: fixed; right: 1.4rem; bottom: 0.9rem; z-index: 40;
  width: min(40rem, calc(100vw - 2.8rem)); max-height: 45vh; overflow: auto; }
.st-key-messages > * { background: var(--paper); border-radius: 8px; box-shadow: 0 4px 16px rgb(0 0 0 / 0.14); }
.st-key-strip { background: var(--paper); gap: 0.4rem; }
.st-key-strip :is(.stButton, .stPopover) button { min-height: 2rem; padding-block: 0.1rem; }
.st-key-strip .stSelectbox { zoom: 0.82; }
[data-testid="stLayoutWrapper"]:has(> .st-key-page-tools-place) {
  position: fixed; top: 0.8rem; right: 3.6rem; width: auto; z-index: 999991; }
.foam-copy-link { font: inherit; font-size: 0.85rem; color: inherit; background: transparent; cursor: pointer;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 8px; padding: 0.2rem 0.7rem; }
.foam-copy-link:is(:hover, :focus-visible) { border-color: var(--accent); color: var(--accent); outline: none; }
.foam-link-box { width: min(28rem, 60vw); font-size: 0.85rem; padding: 0.2rem 0.5rem; }
.foam-copy-said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
/* A door: its link covers the whole card. */
[class*="st-key-door-"] { position: relative; gap: 0.2rem; }
[class*="st-key-door-"] * { position: static; }
[class*="st-key-door-"] a { background: none; }
/* The ring of a choice that is not made: Streamlit's own can hardly be seen. */
[data-testid="stRadioOption"]:not(:has(input:checked)) > div > div:first-child { border-radius: 50%;
  box-shadow: inset 0 0 0 1.5px color-mix(in srgb, currentColor 60%, transparent); }
/* A finger needs more room than a pointer: 24 pixels at least. */
@media (pointer: coarse) { [data-testid="stTooltipIcon"] button { position: relative; }
[data-testid="stTooltipIcon"] button::after { content: ""; position: absolute; inset: -6px; } }
[class*="st-key-door-"] a::after { content: ""; position: absolute; inset: 0; border-radius: 8px; }
[class*="st-key-door-"] a:focus-visible::after { outline: 2px solid var(--accent); outline-offset: 2px; }
[class*="st-key-door-"]:hover { border-color: var(--accent);
  background: color-mix(in srgb, var(--accent) 6%, transparent); }
.st-key-recording > :first-child { flex: 1 1 24rem; }
.stElementContainer:has(.foam-heading), .foam-heading { position: absolute; width: 1px; height: 1px;
  overflow: hidden; clip-path: inset(50%); }
.st-key-lesson-head { padding-top: 0.6rem; }
.st-key-stage a { border: 1px solid var(--accent); border-radius: 8px; padding: 0.45rem 1rem; }
.st-key-threshold-views { padding-top: 0.6rem; }
.st-key-threshold-strip { background: var(--paper); padding: 0.2rem 0; }
@media (min-width: 900px) { .st-key-threshold-views { padding-top: 0.6rem; }
.st-key-threshold-strip { position: sticky; top: 3.2rem; z-index: 20; } }
.foam-sketch svg { display: block; font-size: 0.8rem; overflow: visible; }
.foam-sketch text { fill: currentColor; }
.foam-sketch text.foam-sketch-title { fill: var(--soft-ink); }
.foam-sketch-grid { stroke: color-mix(in srgb, currentColor 14%, transparent); }
.foam-sketch-line { fill: none; stroke: var(--accent); stroke-width: 2.5; stroke-dasharray: 7 4; pointer-events: none; }
.foam-sketch-dot { fill: var(--accent); stroke: var(--paper); stroke-width: 2; }
.foam-sketch-given, .foam-sketch-found { fill: currentColor; }
.foam-sketch-measured { fill: none; stroke: currentColor; stroke-width: 2; }
.foam-sketch-range { stroke: currentColor; stroke-width: 6; opacity: 0.3; }
.foam-sketch-hold { fill: transparent; }
.foam-sketch-point[role] { cursor: ns-resize; touch-action: none; outline: none; }
.foam-sketch-point[role]:is(:hover, :focus-visible) .foam-sketch-hold {
  fill: color-mix(in srgb, var(--accent) 18%, transparent); }
.foam-sketch-point[role]:focus-visible .foam-sketch-hold { stroke: var(--accent); stroke-width: 2; }
.foam-marks { position: relative; height: 1.55rem; margin: -1.35rem 0.35rem 0; font-size: 0.68rem; line-height: 1; }
.foam-marks i { position: absolute; top: 0; width: 1px; height: 0.5rem; background: currentColor; opacity: 0.5; }
.foam-marks span { position: absolute; top: 0.6rem; transform: translateX(-50%); white-space: nowrap; opacity: 0.75; }
.st-key-logs-tabs { padding-top: 0.6rem; }
.st-key-findings-list button { justify-content: flex-start; text-align: left; min-height: 0; padding: 0.1rem 0; }
.st-key-findings-list button p { text-align: left; }
.stMultiSelect [data-tag] { background: color-mix(in srgb, currentColor 10%, transparent); color: inherit; }
.st-key-logs-empty { text-align: center; min-height: 16rem; }
.stMultiSelect [data-testid="stMultiSelectTagsContainer"] { max-height: 11rem; overflow-y: auto; }
.st-key-compared [data-testid="stMultiSelectTagsContainer"] { max-height: 6rem; }
::highlight(foam-term) { text-decoration: underline dotted color-mix(in srgb, currentColor 55%, transparent);
  text-underline-offset: 0.2em; }
.foam-term-card { position: fixed; inset: auto; margin: 0; max-width: min(26rem, calc(100vw - 16px));
  padding: 0.7rem 0.9rem; border: 1px solid var(--accent); border-radius: 8px; background: var(--paper);
  color: inherit; font-size: 0.92rem;
  line-height: 1.4; box-shadow: 0 6px 24px rgb(0 0 0 / 0.16); box-sizing: border-box; pointer-events: auto; }
.foam-term-card p { margin: 0.2rem 0; }
.foam-term-card :is(code, small) { display: block; }
.foam-tour { position: fixed; right: 1rem; bottom: 1rem; z-index: 999992; width: min(24rem, calc(100vw - 2rem));
  padding: 0.8rem 1rem; border: 1px solid var(--accent); border-radius: 10px; background: var(--paper); color: inherit;
  font-size: 0.95rem; line-height: 1.4; box-shadow: 0 8px 30px rgb(0 0 0 / 0.2); box-sizing: border-box; }
.foam-tour p { margin: 0.3rem 0 0.6rem; }
.foam-tour div { display: flex; gap: 0.5rem; }
.foam-tour button { font: inherit; color: inherit; background: transparent; cursor: pointer; border-radius: 8px;
  border: 1px solid color-mix(in srgb, currentColor 30%, transparent); padding: 0.2rem 0.8rem; }
.foam-tour button:first-child { margin-right: auto; }
.foam-tour .foam-tour-next { background: var(--accent); color: var(--paper); }
.foam-tour button:disabled { visibility: hidden; }
.foam-tour-place { outline: 3px solid var(--accent) !important; outline-offset: 3px; border-radius: 10px; }
[data-variant="segmented_control"] p, [data-variant="pills"] p { color: light-dark(#1B1F24, #E6EBEF) !important; }
[data-testid="stVegaLiteChart"] svg text { fill: currentColor; }
[data-testid="stVegaLiteChart"] svg .role-axis-label text { fill: var(--soft-ink); }
.foam-glossary dt { font-weight: 600; margin-top: 0.8rem; }
.foam-glossary dd { margin: 0; max-width: 75ch; }
.foam-glossary :is(code, small) { display: block; width: fit-content; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding: 3.4rem 0.75rem 2rem; }
  .st-key-strip, .st-key-look { gap: 0.4rem; }
  .st-key-strip > *, .st-key-look > * { flex: 1 1 30%; }
  .st-key-strip :is(.stButton, .stPopover) button { padding: 0.25rem 0.5rem; width: 100%; }
  .st-key-look > * { flex-basis: 45%; }
  /* A run on a phone: its name, what is known of it in a line, its buttons in another. */
  .st-key-your-runs-headings { display: none; }
  [class*="st-key-your-run-"] { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent);
    padding-top: 0.6rem; }
  [class*="st-key-your-run-"] [data-testid="stHorizontalBlock"] { gap: 0.3rem 0.9rem; }
  [class*="st-key-your-run-"] [data-testid="stColumn"] { flex: 0 0 auto; width: auto; min-width: 0; }
  [class*="st-key-your-run-"] [data-testid="stColumn"]:first-child { flex-basis: 100%; font-weight: 600; }
  [class*="st-key-your-run-"] [data-testid="stColumn"]:nth-child(3) p::before { content: "step "; }
}
"""


def heading(title: str) -> None:
    """The one heading of a page whose first line is its controls: for readers who hear it, and out of sight.

    Args:
        title: Of the page; ours, not from outside.
    """
    st.html(f'<h1 class="foam-heading">{title}</h1>')


def style() -> None:
    """Adds the rules to the page."""
    st.html(f"<style>.stApp {{ {_COLOURS}}}{_CSS}</style>")
