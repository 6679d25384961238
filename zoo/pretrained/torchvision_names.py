"""Mapping of the zoo's layer names to those in torchvision's state dicts.

The functions are as in `timm_names`; those of ResNet, DenseNet and Inception v3 are the same.
"""

from collections.abc import Callable

from .. import mobilenet_v2 as v2
from ..cards import ModelCard
from ..mobilenet_v3 import SIZES
from .timm_names import densenet, inception_v3, match_groups, resnet, vgg_features

UNIT = {"conv": "0", "norm": "1"}
"""Indices in a unit of convolution, BatchNorm and activation."""


def vgg(ours: str, card: ModelCard) -> str:
    """Map `stage1_conv1_conv` to `features.0`; the list of dense layers also contains activations and dropout."""
    ends = {"dense1": "classifier.0", "dense2": "classifier.3", "head_dense": "classifier.6"}
    return ends.get(ours) or vgg_features(ours, card)


def mobilenet_v2(ours: str, card: ModelCard) -> str:
    """Map `stage2_block1_depthwise_conv` to `features.2.conv.1.0`: blocks are numbered across stages."""
    if ours == "head_dense":
        return "classifier.1"
    unit, _, kind = ours.rpartition("_")
    blocks = [count for _, _, count, _ in v2.STAGES]
    ends = {"stem": "0", "final": f"{sum(blocks) + 1}"}
    if unit in ends:
        return f"features.{ends[unit]}.{UNIT[kind]}"
    stage, block, part = match_groups(r"stage(\d)_block(\d)_(\w+)", unit)
    number = sum(blocks[: int(stage) - 1]) + int(block)
    parts = ["depthwise", "project"] if stage == "1" else ["expand", "depthwise", "project"]
    index = parts.index(part)
    # The last convolution and its BatchNorm are directly in the list, since without an activation they are no unit.
    inner = f"{index + int(UNIT[kind])}" if part == "project" else f"{index}.{UNIT[kind]}"
    return f"features.{number}.conv.{inner}"


def mobilenet_v3(ours: str, card: ModelCard) -> str:
    """Map `stage2_block1_depthwise_conv` to `features.2.block.1.0`: blocks are numbered across stages."""
    ends = {"neck_conv_conv": "classifier.0", "head_dense": "classifier.3"}
    if ours in ends:
        return ends[ours]
    stages = SIZES[card.arguments["size"]]
    blocks = [len(rows) for rows in stages]
    unit, _, kind = ours.rpartition("_")
    ends = {"stem": "0", "final": f"{sum(blocks) + 1}"}
    if unit in ends:
        return f"features.{ends[unit]}.{UNIT[kind]}"
    stage, block, part = match_groups(r"stage(\d)_block(\d)_(\w+)", unit)
    number = sum(blocks[: int(stage) - 1]) + int(block)
    squeezes = stages[int(stage) - 1][int(block) - 1].squeeze_excite
    return f"features.{number}.block.{_in_block(part, kind, expands=stage != '1', squeezes=squeezes)}"


def efficientnet(ours: str, card: ModelCard) -> str:
    """Map `stage2_block1_depthwise_conv` to `features.2.0.block.1.0`."""
    if ours == "head_dense":
        return "classifier.1"
    unit, _, kind = ours.rpartition("_")
    ends = {"stem": "0", "final": "8"}
    if unit in ends:
        return f"features.{ends[unit]}.{UNIT[kind]}"
    stage, block, part = match_groups(r"stage(\d)_block(\d+)_(\w+)", unit)
    return f"features.{stage}.{int(block) - 1}.block.{_in_block(part, kind, expands=stage != '1', squeezes=True)}"


def _in_block(part: str, kind: str, *, expands: bool, squeezes: bool) -> str:
    """Name a layer of an inverted residual block, which numbers the parts that it has."""
    inner = {"se_reduce": "fc1", "se_expand": "fc2"}.get(part, UNIT[kind])
    parts = ["expand"] * expands + ["depthwise"] + ["se"] * squeezes + ["project"]
    return f"{parts.index(part.split('_')[0])}.{inner}"


NAMES: dict[str, Callable[[str, ModelCard], str]] = {
    "densenet:densenet": densenet,
    "efficientnet:efficientnet": efficientnet,
    "inception:inception_v3": inception_v3,
    "mobilenet_v2:mobilenet_v2": mobilenet_v2,
    "mobilenet_v3:mobilenet_v3": mobilenet_v3,
    "resnet:resnet": resnet,
    "vgg:vgg": vgg,
}
IGNORED_PREFIXES = {"inception:inception_v3": ("AuxLogits.",)}
