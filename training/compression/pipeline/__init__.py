"""Compression as a whole: advice before it, its stages in order, and a comparison of the models after it."""
