"""Bundles: how a trace lies on the disk."""
