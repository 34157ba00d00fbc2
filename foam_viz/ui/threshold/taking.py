"""What can be taken away: the chosen setting as code, command, artifact YAML or link, and the points as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from foam_viz.analysis.fronts import to_csv
from foam_viz.experiment import config, export, links
from foam_viz.optim.fields import FieldError
from foam_viz.ui.session.threshold import Threshold
from foam_viz.ui.take_away import FORMS
from foam_viz.ui.text import plain
from foam_viz.ui.threshold.truths import configured


def take_away(state: Threshold) -> None:
    """Draw the downloads of the sidebar."""
    bench = state.bench
    if bench is None or bench.own is None:
        return
    with st.container(horizontal=True):
        for name, words in (("points", "Map"), ("references", "Front")):
            study = bench.study
            points = study.points if name == "points" else (*study.points, *study.references)
            st.download_button(
                f"{words} as CSV", data=lambda points=points: to_csv(points), file_name=f"foam-viz-{words.lower()}.csv",
                mime="text/csv", on_click="ignore", key=f"threshold.csv.{name}", disabled=not points,
            )  # fmt: skip
    if bench.truths.base is None or bench.study.setting is None:
        return
    with st.popover("Export this setting", icon=":material/output:", width="stretch"):
        try:
            told = configured(bench.truths.base, bench.study.setting, int(bench.truths.base["run_settings"]["seed"]))
        except FieldError as error:
            st.error(plain(str(error)))
            return
        forms(told)


def forms(told: Mapping[str, Any]) -> None:
    """Draw a configuration in every form that runs elsewhere."""
    tabs = st.tabs([shown.words for shown in FORMS.values()])
    for tab, (form, shown) in zip(tabs, FORMS.items(), strict=True):
        with tab:
            try:
                st.code(export.FORMS[form](told), language=shown.language)
            except FieldError as error:
                st.info(plain(f"This form is not available: {error}"))
    experiment, errors = config.from_manifest(told)
    if not errors:
        query = [(name, text) for name, texts in links.to_query(experiment).items()
                 for text in (texts if isinstance(texts, list) else [texts])]  # fmt: skip
        st.page_link(
            "pages/live_lab.py", label="Open it in the live lab", icon=":material/science:", query_params=query
        )
        st.code(f"live-lab?{urlencode(query)}", language=None)
