"""The README of a bundle, and the programs in it."""
