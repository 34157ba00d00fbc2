"""Speed and quality, as ratios within one run; each module prints its figures beside their limits and exits 1 when
one is missed. ``python -m benchmarks`` runs them all."""
