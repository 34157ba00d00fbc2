"""Panels that hold many runs against each other."""
