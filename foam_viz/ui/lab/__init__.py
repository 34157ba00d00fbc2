"""The live lab."""
