"""Weight clustering."""
