"""foam_viz: entry of the app. Page configuration and navigation, nothing else."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from foam_viz.ui.page_tools import page_tools
from foam_viz.ui.server import lifespan, middleware, routes
from foam_viz.ui.style import ICON, style

if get_script_run_ctx(suppress_warning=True) is None:
    # `streamlit run app.py` imports this file and serves what it finds here; the branch below is the page of a visitor.
    app = st.App(__file__, lifespan=lifespan, routes=routes, middleware=middleware)
else:
    st.set_page_config(page_title="foam_viz", page_icon=ICON, layout="wide")
    style()
    page = st.navigation(
        [
            st.Page("pages/start.py", title="Start", icon=":material/home:", default=True),
            st.Page("pages/live_lab.py", title="Live lab", icon=":material/science:", url_path="live-lab"),
            st.Page("pages/threshold_lab.py", title="Threshold lab", icon=":material/tune:", url_path="threshold-lab"),
            st.Page("pages/lessons.py", title="Lessons", icon=":material/school:", url_path="lessons"),
            st.Page(
                "pages/paper_figures.py", title="Paper figures", icon=":material/article:", url_path="paper-figures"
            ),
            st.Page("pages/run_logs.py", title="Run logs", icon=":material/folder_open:", url_path="run-logs"),
            st.Page("pages/glossary.py", title="Glossary", icon=":material/dictionary:", url_path="glossary"),
            st.Page("pages/your_runs.py", title="Your runs", icon=":material/history:", url_path="your-runs"),
        ],
        position="top",
    )
    page_tools(page.url_path)
    page.run()
