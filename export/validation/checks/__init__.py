"""The checks of an artifact: one file for each runtime, compiler or operator list."""
