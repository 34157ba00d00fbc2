"""What is computed from traces: no drawing, no training."""
