"""Which channels depend on one another, by layer."""
