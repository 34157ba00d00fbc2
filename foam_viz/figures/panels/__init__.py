"""One file a panel of a single look: loss, factors, damping, spectrum."""
