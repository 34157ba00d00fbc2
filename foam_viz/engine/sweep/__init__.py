"""Sweeps: chosen settings x seeds x tasks as real runs, whose results are ordinary run bundles."""
