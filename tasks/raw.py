"""Raw output: numbers that no other task describes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.errors import InputError
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    from ..layers import Head


class Raw(Task):
    """Numbers of any shape; they are exported and compared, and neither trained nor decoded."""

    name = "raw"
    has_head = False
    min_outputs = None
    has_targets = False
    meaning = "raw numbers"
    output_axes = None
    output_name = "output"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "Head":
        """Raise InputError: there is no such head."""
        raise InputError("a raw output comes from no head; choose another task.")

    def recognizes(self, output_shape: Sequence[int | None], activation: str | None) -> bool:
        """Return whether it is neither a vector, nor a map of probabilities of classes."""
        if len(output_shape) == 2:
            return False
        classes = 1 if activation == "sigmoid" else 2 if activation == "softmax" else None
        return len(output_shape) != 4 or classes is None or min(output_shape[-1] or 2, 2) != classes
