"""The page of run logs."""
