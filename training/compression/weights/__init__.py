"""Weight pruning with TF-MOT's schedules and masks."""
