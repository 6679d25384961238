"""Images with what is to be learned of them: where they come from, how they are split, and how they are fed."""
