"""Panels of the threshold lab: a recorded run under other thresholds."""
