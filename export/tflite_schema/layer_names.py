"""Which Keras layers the tensors of converted graphs come from, by their names.

TensorFlow names what a layer computes `model_1/layer_1/operation`, or `model_1/layer_1/batchnorm/add`, and converters
join the names of what they fuse, `model_1/conv_1/convolution;model_1/act_1/Relu`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from ...core.errors import unknown


def layers_of(name: str) -> list[str]:
    """The layers that computed the tensor or node of that name, in the order of the name, each once."""
    paths = [part.split("/") for part in name.split(";") if part.count("/") > 1]
    # Keras numbers what is traced once more, the model and its layers alike.
    return list(dict.fromkeys(p[1].removesuffix("_1") if p[0].endswith("_1") else p[1] for p in paths))


def matching(names: Iterable[str], layers: set[str]) -> list[str]:
    """Those of the tensors' or nodes' `names` that `layers` computed."""
    return [name for name in names if layers.intersection(layers_of(name))]


def chosen_layers(names: Sequence[str], patterns: Iterable[str]) -> set[str]:
    """The layers whose name fits one of the `patterns`, such as `head_*`.

    Raises:
        InputError: A pattern fits none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in names if fnmatch(name, pattern)}
        if not fitting:
            raise unknown("layer", pattern, names)
        chosen |= fitting
    return chosen
