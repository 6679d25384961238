"""Source Keras layers of the tensors of converted graphs, read from tensor names.

The tensors of a layer are named `model/layer/operation`, or `model/layer/batchnorm/add`, and converters join the names
of what they fuse, `model/conv/convolution;model/act/Relu`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from ...core.errors import unknown


def layers_of(name: str) -> list[str]:
    """Source layers of the tensor or node with that name, in the order of the name, each once."""
    return list(dict.fromkeys(part.split("/")[1] for part in name.split(";") if part.count("/") > 1))


def match_layers(names: Sequence[str], patterns: Iterable[str]) -> set[str]:
    """Select the layers whose name matches one of the `patterns`, such as `head_*`.

    Raises:
        InputError: A pattern matches no layer.
    """
    matches: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if fnmatch(name, pattern)}
        if not found:
            raise unknown("layer", pattern, names)
        matches |= found
    return matches
