"""Embedding: the features themselves, to be compared with one another."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    from ..layers import EmbeddingHead


class Embedding(Task):
    """Features `(batch, channels)`; there are no targets."""

    name = "embedding"
    min_outputs = None
    has_targets = False
    meaning = "an embedding"
    output_name = "embedding"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "EmbeddingHead":
        """Return a head without weights."""
        from ..layers import EmbeddingHead

        return EmbeddingHead(name=name)
