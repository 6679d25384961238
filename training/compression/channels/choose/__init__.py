"""Which channels to remove: importance, pruning groups and budget."""
