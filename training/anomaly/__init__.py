"""Anomaly detection: models are fitted to statistics of good images, without gradients."""
