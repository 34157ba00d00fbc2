"""The glossary: every term, symbol and hyperparameter."""

from foam_viz.ui.lessons.glossary import glossary

glossary()
