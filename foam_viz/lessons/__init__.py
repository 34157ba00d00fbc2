"""Guided experiments: a question, a prediction, a run, an explanation, and claims that are measured."""
