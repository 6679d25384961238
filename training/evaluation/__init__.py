"""How good a model is on images it never saw."""
