"""Removal of chosen channels, and the check that the narrower model is equivalent."""
