"""Small, deterministic training tasks: a dataset, a model and a loss, one file each.

Importing this package imports no torch; a task's module does, when it is built.
"""
