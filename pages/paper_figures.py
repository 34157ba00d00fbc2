"""Paper figures: what a paper found beside what was found here."""

from foam_viz.ui.lessons.paper_figures import paper_figures

paper_figures()
