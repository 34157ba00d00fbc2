"""Readers of other programs' training logs: one file a format, each turns bytes into traces."""
