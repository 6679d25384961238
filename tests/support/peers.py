"""What both sides of the comparison with PyTorch's nets share: numbers drawn from names, images, and the files."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "peers"
ANSWERS = FOLDER / "answers.json"
"""By case: the probabilities of the first classes, for each of the images."""
CLASSES = 40
"""Whose probabilities are kept."""

Shape = tuple[int, ...]


def drawn_tensor(name: str, shape: Shape) -> np.ndarray:
    """The numbers of the tensor of a state dict with that name: anyone with NumPy draws the same.

    As in a trained net, the branches of residual blocks are weak, statistics are no two alike, and shifts are above zero, which leaves
    most units open: errors of rounding then stay as small as they are.
    """
    random = np.random.RandomState(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.array(1000)
    uniform = random.uniform(0, 1, shape)  # of RandomState, whose numbers NumPy promises never to change
    if kind == "running_mean":
        return (0.4 * uniform - 0.2).astype("float32")
    if kind == "running_var" or len(shape) == 1 and kind == "weight":
        return (0.5 + uniform).astype("float32")
    if kind == "bias":
        return (0.5 * uniform).astype("float32")
    spread = math.sqrt(3 / math.prod(shape[1:]))  # an output as strong as the inputs
    return (spread * (2 * uniform - 1)).astype("float32")


def images(size: int) -> np.ndarray:
    """Two images of raw pixels, `(2, size, size, 3)`."""
    return np.random.RandomState(size).randint(0, 256, (2, size, size, 3)).astype("float32")


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""Tensors of a BatchNorm."""


def write_state_dict(path: Path, peers: Iterable[str], epsilons: Iterable[float], shapes: dict[str, Shape]) -> None:
    """Notes what tensors some peers have: the peers, their BatchNorms' epsilon, then one line for each module."""
    modules: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        module, _, tensor = name.rpartition(".")
        modules.setdefault(module, {})[tensor] = shape
    lines = [" ".join(peers), " ".join(map(repr, epsilons))]
    for module, tensors in modules.items():
        noted = {"norm": tensors["weight"]} if tuple(tensors) == NORM else tensors
        lines.append(" ".join([module, *(f"{name}={'x'.join(map(str, shape))}" for name, shape in noted.items())]))
    path.write_text("\n".join(lines) + "\n")


def read_state_dict(path: Path) -> tuple[list[str], float | None, dict[str, Shape]]:
    """What `write_state_dict` wrote: the peers, their epsilon (None without BatchNorm), and shapes by name."""
    peers, epsilon, *modules = path.read_text().splitlines()
    shapes = {}
    for line in modules:
        module, *tensors = line.split()
        for tensor in tensors:
            name, _, sides = tensor.partition("=")
            shape = tuple(map(int, sides.split("x")))
            noted = dict.fromkeys(NORM, shape) | {"num_batches_tracked": ()} if name == "norm" else {name: shape}
            shapes |= {f"{module}.{key}": value for key, value in noted.items()}
    return peers.split(), float(epsilon) if epsilon else None, shapes
