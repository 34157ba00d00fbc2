"""Adapters that read what an optimizer keeps, ours or another library's, without importing it."""
