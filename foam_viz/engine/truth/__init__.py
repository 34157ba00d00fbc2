"""The truth of a what-if: chosen settings really trained, in a process of its own that gives way to everything else."""
