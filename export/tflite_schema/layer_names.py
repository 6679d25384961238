"""Source Keras layers of the tensors of converted graphs, read from tensor names.

TensorFlow names the tensors of a layer `model_1/layer_1/operation`, or `model_1/layer_1/batchnorm/add`, and converters
join the names of what they fuse, `model_1/conv_1/convolution;model_1/act_1/Relu`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from ...core.errors import unknown


def layers_of(name: str) -> list[str]:
    """Source layers of the tensor or node with that name, in the order of the name, each once."""
    paths = [part.split("/") for part in name.split(";") if part.count("/") > 1]
    # When Keras traces a model again, it adds a number to the model and its layers alike.
    return list(dict.fromkeys(p[1].removesuffix("_1") if p[0].endswith("_1") else p[1] for p in paths))


def filter_by_layers(names: Iterable[str], layers: set[str]) -> list[str]:
    """Select the names of tensors or nodes that `layers` computed."""
    return [name for name in names if layers.intersection(layers_of(name))]


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
