"""The glossary: every term, symbol and hyperparameter."""

from foam_viz.ui.glossary import glossary

glossary()
