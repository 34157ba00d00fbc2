"""foam_viz: train small models under second-order optimizers and watch the preconditioner go stale."""

__version__ = "0.1.0"
