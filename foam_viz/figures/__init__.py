"""Traces in, Plotly figures out: one file a panel, all of them pure."""
