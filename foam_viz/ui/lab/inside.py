"""Inside a step: one press for each phase, and the numbers that the phase used for the followed factor."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.text import plain
from foam_viz.ui.widgets import keep, popover

PHASES = {
    "gradient": ("Gradient", "Loss and gradient of the next batch."),
    "statistics": ("Statistics", "The gradient enters the factor statistics L."),
    "check": ("Check", "Where a check is due, the policy measures and decides."),
    "update": ("Update", "The parameters move, and the step is made."),
}
"""Title and explanation of each phase, in their order."""
_ANY_LANE = "any-lane"
_HEAD = "| Quantity | Value | What it is |\n|---|---|---|"
_RENEWS_LAST = "The bases of this optimizer are renewed after the update."


def inside(state: Lab, run: LabRun | None, *, enabled: bool) -> None:
    """Draw the button that opens the phases of a step.

    Args:
        state: The session.
        run: The run on the page.
        enabled: Whether a phase can be made now.
    """
    told = (run.header.get("inside") if run is not None else None) or {}
    words = "Make a step phase by phase, and see its numbers."
    with popover("Inside", "inside", icon=":material/search:", help=words) as opened:
        if opened:
            _phases(state, run, told, enabled=enabled)
        else:
            keep(_ANY_LANE)


def _phases(state: Lab, run: LabRun | None, told: dict, *, enabled: bool) -> None:
    names = list(PHASES)
    following = names[names.index(told["phase"]) + 1] if told.get("phase") else names[0]
    at = (told["step"] if told.get("phase") else run.step + 1) if run is not None else 1
    st.markdown(f"**Step {at:,}**")
    with st.container(horizontal=True, gap="small"):
        for name, (title, words) in PHASES.items():
            st.button(
                title,
                key=f"phase-{name}",
                on_click=state.command,
                args=("phase",),
                disabled=not (enabled and name == following),
                type="primary" if name == following else "secondary",
                help=words,
            )
    _numbers(state, told)
    st.toggle(
        "To check and To refresh stop at any factor of any lane",
        key=_ANY_LANE,
        help="Otherwise they follow the followed factor of the followed lane. Both run at full speed.",
    )


def _numbers(state: Lab, told: dict) -> None:
    if not told:
        st.caption("Each press makes one phase in every lane and stops there. Start, Step or Pause leave as usual.")
        return
    lane = told["lanes"].get(str(state.lane), {})
    for name in reversed([name for name in PHASES if name in lane]):  # the newest needs no scrolling
        at = f" of step {told['step']:,}" if name == told["done"] else ""
        st.markdown(f"**{PHASES[name][0]}**{at}")
        rows = [f"| {_cell(label)} | {_cell(value)} | {_cell(words)} |" for label, value, words in lane[name]]
        st.markdown(
            "\n".join(["| Quantity | Value | What it is |", "|---|---|---|", *rows]) if rows else "Nothing here."
        )
    if told["done"] in PHASES and told["done"] not in lane:
        st.caption(_RENEWS_LAST if "statistics" in lane else "This optimizer has no factors: gradient, then update.")


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|")


def goal(state: Lab, followed: int | None) -> dict[str, int | None]:
    """Whose check or refresh To check and To refresh run to."""
    return {} if st.session_state.get(_ANY_LANE) else {"lane": state.lane + 1, "factor": followed}
