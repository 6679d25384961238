"""What both sides of the comparison with PyTorch's nets share: numbers drawn from names, images, cases and files.

`peers/make_references.py` writes the files where PyTorch is; the tests read them where it is not.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent.parent / "peers"
ANSWERS = FOLDER / "answers.json"
"""By case, for each image: the logarithms of the first classes' probabilities."""
STATE_DICTS = FOLDER / "state_dicts"
"""One file for each list of tensors: in its first line the peers that have it, then one line for each module."""
CLASSES = 40
"""Whose probabilities are kept."""

Shape = tuple[int, ...]


class Case(NamedTuple):
    """A net that is run on both sides."""

    model: str
    """Our name."""
    size: int
    """Side of the images."""
    gain: float
    """So strong are the kernels that neither the image is lost on the way nor the answer the same class for all."""


# By the peer's name and the tag of its weights. Even sizes, for odd ones do not tell symmetric padding from "same".
CASES = {
    "timm/resnet18.tv_in1k": Case("resnet18", 64, 1.0),
    "timm/resnet50.a1_in1k": Case("resnet50", 64, 1.0),
    "timm/resnext50_32x4d.a1_in1k": Case("resnext50_32x4d", 64, 1.0),
    "timm/seresnet50.ra2_in1k": Case("seresnet50", 64, 1.2),
    "timm/densenet121.ra_in1k": Case("densenet121", 64, 2.0),
    "timm/mobilenetv1_100.ra4_e3600_r224_in1k": Case("mobilenet_v1", 64, 2.0),
    "timm/mobilenetv2_050.lamb_in1k": Case("mobilenet_v2_050", 64, 2.0),
    "torchvision/mobilenet_v2.IMAGENET1K_V1": Case("mobilenet_v2", 64, 2.0),
    "timm/mobilenetv3_small_100.lamb_in1k": Case("mobilenet_v3_small", 64, 2.0),
    "timm/mobilenetv3_large_100.miil_in21k_ft_in1k": Case("mobilenet_v3_large", 64, 1.6),
    "timm/tf_mobilenetv3_small_100.in1k": Case("mobilenet_v3_small", 64, 2.0),
    "timm/tf_mobilenetv3_small_minimal_100.in1k": Case("mobilenet_v3_small_minimalistic", 64, 1.2),
    "torchvision/mobilenet_v3_small.IMAGENET1K_V1": Case("mobilenet_v3_small", 64, 2.0),
    "timm/efficientnet_b0.ra_in1k": Case("efficientnet_b0", 64, 2.0),
    "timm/tf_efficientnet_b0.ns_jft_in1k": Case("efficientnet_b0", 64, 2.0),
    "timm/efficientnet_lite0.ra_in1k": Case("efficientnet_lite0", 64, 2.0),
    "timm/tf_efficientnet_lite0.in1k": Case("efficientnet_lite0", 64, 2.0),
    "torchvision/efficientnet_b0.IMAGENET1K_V1": Case("efficientnet_b0", 64, 2.0),
    "timm/inception_v3.gluon_in1k": Case("inception_v3", 107, 2.0),
    "timm/inception_v4.tf_in1k": Case("inception_v4", 107, 2.0),
    "timm/inception_resnet_v2.tf_in1k": Case("inception_resnet_v2", 107, 1.4),
}
# VGG ends in 100 million weights; these have all its layers, of so many channels.
VGG_WIDTHS = (8, 12, 16, 20, 24)
VGG_HIDDEN = (32, 32)
NARROW_CASES = {
    "timm/vgg11.tv_in1k": Case("vgg11", 224, 2.0),
    "timm/vgg11_bn.tv_in1k": Case("vgg11_bn", 224, 1.8),
    "torchvision/vgg11_bn.IMAGENET1K_V1": Case("vgg11_bn", 224, 1.8),
}


def drawn_tensor(name: str, shape: Shape, gain: float) -> np.ndarray:
    """The numbers of the tensor of that name in a state dict: anyone with NumPy draws the same.

    Statistics are no two alike, and shifts are above zero, which leaves most units open: errors of rounding then stay
    as small as they are.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.array(seed % 1000)
    uniform = np.random.RandomState(seed).uniform(0, 1, shape)  # whose numbers NumPy promises never to change
    if kind == "running_mean":
        return (0.4 * uniform - 0.2).astype("float32")
    if kind == "running_var" or (len(shape) == 1 and kind == "weight"):
        return (0.5 + uniform).astype("float32")
    if kind == "bias":
        return (0.5 * uniform).astype("float32")
    spread = math.sqrt(3 * gain / math.prod(shape[1:]))
    return (spread * (2 * uniform - 1)).astype("float32")


def images(size: int) -> np.ndarray:
    """Two images of raw pixels, `(2, size, size, 3)`: patches of one color, with noise on them."""
    random = np.random.RandomState(size)
    patches = random.randint(0, 200, (2, 5, 5, 3)).repeat(-(-size // 5), axis=1).repeat(-(-size // 5), axis=2)
    return (patches[:, :size, :size] + random.randint(0, 56, (2, size, size, 3))).astype("float32")


_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def write_state_dict(path: Path, peers: dict[str, dict], shapes: dict[str, Shape]) -> None:
    """Notes the tensors that some peers have, and facts of each of these peers."""
    modules: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        module, _, tensor = name.rpartition(".")
        modules.setdefault(module, {})[tensor] = shape
    lines = [json.dumps(peers)]
    for module, tensors in modules.items():
        noted = {"norm": tensors["weight"]} if tuple(tensors) == _NORM else tensors
        lines.append(" ".join([module, *(f"{name}={'x'.join(map(str, shape))}" for name, shape in noted.items())]))
    path.write_text("\n".join(lines) + "\n")


def read_state_dict(path: Path) -> tuple[dict[str, dict], dict[str, Shape]]:
    """What `write_state_dict` wrote."""
    peers, *modules = path.read_text().splitlines()
    shapes: dict[str, Shape] = {}
    for line in modules:
        module, *tensors = line.split()
        for tensor in tensors:
            name, _, sides = tensor.partition("=")
            shape = tuple(map(int, sides.split("x")))
            noted = dict.fromkeys(_NORM, shape) | {"num_batches_tracked": ()} if name == "norm" else {name: shape}
            shapes |= {f"{module}.{key}": value for key, value in noted.items()}
    return json.loads(peers), shapes
