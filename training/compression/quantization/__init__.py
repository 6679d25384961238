"""Training that feels what integers will do."""
