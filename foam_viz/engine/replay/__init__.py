"""Replays of recorded runs: an engine of its own, since matrix work never happens in the Streamlit process."""
