"""The threshold lab: a recorded run under other thresholds, at once."""
