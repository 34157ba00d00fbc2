"""What is kept of a run while it trains: by our own engine, or by the writer that other loops attach."""
