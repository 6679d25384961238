"""Foundations that every other folder builds on; it imports none of them."""
