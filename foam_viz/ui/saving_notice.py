"""Says on every page that shows a run which trains whether it is being saved."""

from __future__ import annotations

import streamlit as st

from foam_viz.engine.server.lab_run import LabRun
from foam_viz.ui.text import plain


def saving_notice(run: LabRun | None, name: str = "") -> None:
    """Draw what there is to say of saving; nothing where the run is saved as it should be.

    Args:
        run: The run that is shown; None where there is none.
        name: What it is called, on a page that shows several.
    """
    if run is None:
        return
    whose = f"{name}: " if name else ""
    if problem := run.header.get("autosave_problem"):
        st.warning(plain(f"{whose}{problem}", 600), icon=":material/cloud_off:")
    if notice := run.header.get("autosave_notice"):
        st.info(plain(f"{whose}{notice}", 600), icon=":material/cloud_done:")
