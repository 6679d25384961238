"""Images and their targets: sources, splits, statistics and input pipelines."""
