"""Mapping of the zoo's layer names to those in timm's state dicts.

Each function takes the name of a layer with weights in the flattened model, and the model's card, and returns the name
of the module with these weights in timm 1.0 (huggingface/pytorch-image-models), the prefix of its tensors.
"""

import re
from collections.abc import Callable
from typing import Any

from ..cards import ModelCard
from ..mobilenet_v3 import SIZES


def resnet(ours: str, card: ModelCard) -> str:
    """Map `stage1_block1_conv1_conv` to `layer1.0.conv1`; torchvision's names are the same."""
    ends = {"stem_conv": "conv1", "stem_norm": "bn1", "head_dense": "fc"}
    if ours in ends:
        return ends[ours]
    stage, block, part = match_groups(r"stage(\d)_block(\d+)_(\w+)", ours)
    parts = {
        "shortcut_conv": "downsample.0",
        "shortcut_norm": "downsample.1",
        "se_reduce_conv": "se.fc1",
        "se_expand_conv": "se.fc2",
    }
    parts |= {f"conv{number}_conv": f"conv{number}" for number in (1, 2, 3)}
    parts |= {f"conv{number}_norm": f"bn{number}" for number in (1, 2, 3)}
    return f"layer{stage}.{int(block) - 1}.{parts[part]}"


def vgg(ours: str, card: ModelCard) -> str:
    """Map `stage1_conv1_conv` to `features.0`; the dense layers are convolutions."""
    ends = {"dense1": "pre_logits.fc1", "dense2": "pre_logits.fc2", "head_dense": "head.fc"}
    return ends.get(ours) or vgg_features(ours, card)


def vgg_features(ours: str, card: ModelCard) -> str:
    """Map a convolution or its BatchNorm to its index in a list that also contains activations and pooling layers."""
    stage, conv, kind = match_groups(r"stage(\d)_conv(\d)_(conv|norm)", ours)
    convs = card.arguments["convs"][: int(stage) - 1]
    unit = 3 if card.arguments.get("batch_norm") else 2
    index = unit * (sum(convs) + int(conv) - 1) + len(convs) + (kind == "norm")
    return f"features.{index}"


def densenet(ours: str, card: ModelCard) -> str:
    """Map `stage1_block_layer1_conv1_conv` to `features.denseblock1.denselayer1.conv1`; torchvision's is the same."""
    ends = {
        "stem_conv": "features.conv0",
        "stem_norm": "features.norm0",
        "final_norm": "features.norm5",
        "head_dense": "classifier",
    }
    if ours in ends:
        return ends[ours]
    stage, layer, part = match_groups(r"stage(\d)_(?:transition|block_layer(\d+))_(\w+)", ours)
    if layer is None:
        return f"features.transition{int(stage) - 1}.{'norm' if ours.endswith('norm') else 'conv'}"
    parts = {"pre_norm": "norm1", "conv1_conv": "conv1", "conv1_norm": "norm2", "conv2_conv": "conv2"}
    return f"features.denseblock{stage}.denselayer{layer}.{parts[part]}"


MOBILE_ENDS = {
    "stem_conv": "conv_stem",
    "stem_norm": "bn1",
    "final_conv": "conv_head",
    "final_norm": "bn2",
    "head_dense": "classifier",
}
INVERTED = {
    "expand_conv": "conv_pw",
    "expand_norm": "bn1",
    "depthwise_conv": "conv_dw",
    "depthwise_norm": "bn2",
    "se_reduce_conv": "se.conv_reduce",
    "se_expand_conv": "se.conv_expand",
    "project_conv": "conv_pwl",
    "project_norm": "bn3",
}
"""Names in an inverted residual block with an expansion."""
SEPARABLE = INVERTED | {"depthwise_norm": "bn1", "project_conv": "conv_pw", "project_norm": "bn2"}
"""Names in a block without an expansion."""


def mobilenet_v1(ours: str, card: ModelCard) -> str:
    """Map `stage1_block1_pointwise_conv` to `blocks.0.0.conv_pw`."""
    return _mobile(ours.replace("pointwise", "project"), separable_stages="12345")


def inverted_residuals(ours: str, card: ModelCard) -> str:
    """Map `stage2_block1_depthwise_conv` of MobileNetV2 or EfficientNet to `blocks.1.0.conv_dw`."""
    return _mobile(ours, separable_stages="1")


def mobilenet_v3(ours: str, card: ModelCard) -> str:
    """Map names as `inverted_residuals` does, except that the convolution before the pooling is another stage."""
    last = len(SIZES[card.arguments["size"]])
    ends = {"final_conv": f"blocks.{last}.0.conv", "final_norm": f"blocks.{last}.0.bn1", "neck_conv_conv": "conv_head"}
    return ends.get(ours) or _mobile(ours, separable_stages="1")


def _mobile(ours: str, separable_stages: str) -> str:
    if ours in MOBILE_ENDS:
        return MOBILE_ENDS[ours]
    stage, block, part = match_groups(r"stage(\d)_block(\d+)_(\w+)", ours)
    parts = SEPARABLE if stage in separable_stages else INVERTED
    return f"blocks.{int(stage) - 1}.{int(block) - 1}.{parts[part]}"


V3_STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
V3_BRANCHES = {
    "stage1_block": ("branch1x1", "branch5x5_{}", "branch3x3dbl_{}", "branch_pool"),
    "stage2_reduction": ("branch3x3", "branch3x3dbl_{}"),
    "stage2_block": ("branch1x1", "branch7x7_{}", "branch7x7dbl_{}", "branch_pool"),
    "stage3_reduction": ("branch3x3_{}", "branch7x7x3_{}"),
    "stage3_block": ("branch1x1", "branch3x3_{}", "branch3x3dbl_{}", "branch_pool"),
}
"""Branches of Inception v3 by module; `{}` is the number of a convolution."""


def inception_v3(ours: str, card: ModelCard) -> str:
    """Map `stage1_block1_branch2_conv1_conv` to `Mixed_5b.branch5x5_1.conv`; torchvision's names are the same."""
    if ours == "head_dense":
        return "fc"
    unit, kind = _unit(ours)
    if unit.startswith("stem"):
        return f"Conv2d_{V3_STEM[int(unit[-1]) - 1]}.{kind}"
    module, number, branch, position = _in_module(unit)
    # Stages 1 to 3 are Mixed_5, 6 and 7: 5b, 5c, ..., and 6a, 7a for the reductions.
    letter = "abcde"[number]
    theirs = V3_BRANCHES[module][branch - 1].format(position)
    return f"Mixed_{int(module[5]) + 4}{letter}.{theirs}.{kind}"


V4_MODULES = {"stage1_block": 5, "stage2_reduction": 10, "stage2_block": 10, "stage3_reduction": 18, "stage3_block": 18}
"""Index of a module in timm's list of features, minus its own number."""


def inception_v4(ours: str, card: ModelCard) -> str:
    """Map `stage1_block1_branch2_conv1_conv` to `features.6.branch1.0.conv`."""
    if ours == "head_dense":
        return "last_linear"
    unit, kind = _unit(ours)
    if re.fullmatch(r"stem_conv\d", unit):
        return f"features.{int(unit[-1]) - 1}.{kind}"
    if unit.startswith(("stem_mixed1", "stem_mixed3")):  # one convolution parallel to a pooling layer
        return f"features.{int(unit[10]) + 2}.conv.{kind}"
    module, number, branch, position = _in_module(unit)
    if module == "stem_mixed":
        return f"features.4.{_sequential(branch, position)}.{kind}"
    theirs = f"features.{V4_MODULES[module] + number}"
    if module == "stage3_block" and branch in (2, 3):
        return f"{theirs}.branch{branch - 1}_{int(position[0]) - 1}{position[1:]}.{kind}"
    return f"{theirs}.{_sequential(branch, position, single=() if module == 'stage3_reduction' else (1,))}.{kind}"


RESNET_V2_STAGES = {"1": ("mixed_5b", "repeat"), "2": ("mixed_6a", "repeat_1"), "3": ("mixed_7a", "repeat_2")}
"""First module and list of blocks of each stage of Inception-ResNet v2."""


def inception_resnet_v2(ours: str, card: ModelCard) -> str:
    """Map `stage1_block1_branch2_conv1_conv` to `repeat.0.branch1.0.conv`."""
    if ours == "head_dense":
        return "classif"
    unit, kind = _unit(ours)
    if unit.startswith("stem"):
        return f"conv2d_{V3_STEM[int(unit[-1]) - 1][:2]}.{kind}"
    if unit == "final":
        return f"conv2d_7b.{kind}"
    stage, block, part = match_groups(r"stage(\d)_(?:entry|block(\d+))_(\w+)", unit)
    entry, blocks = RESNET_V2_STAGES[stage]
    last = (stage, block) == ("3", "10")  # timm has a module of its own for the block without a final activation
    theirs = "block8" if last else f"{blocks}.{int(block) - 1}" if block else entry
    if part == "expand":
        return f"{theirs}.conv2d"
    _, _, branch, position = _in_module(unit)
    return f"{theirs}.{_sequential(branch, position, single=() if theirs == 'mixed_7a' else (1,))}.{kind}"


def match_groups(pattern: str, name: str) -> tuple[Any, ...]:
    """Return the groups of `pattern` in `name`, None for those that did not match.

    Raises:
        ValueError: The whole name does not match.
    """
    if match := re.fullmatch(pattern, name):
        return match.groups()
    raise ValueError(f"layer name {name!r} does not match {pattern}.")


def _unit(ours: str) -> tuple[str, str]:
    """Split a layer name into that of a ConvNormAct and timm's name of the part, `conv` or `bn`."""
    unit, _, kind = ours.rpartition("_")
    return unit, {"conv": "conv", "norm": "bn"}[kind]


def _in_module(unit: str) -> tuple[str, int, int, str]:
    """Return type and number (0 if there is only one) of an Inception module, branch, and position of a convolution.

    Parallel convolutions after a split have the positions `2a` and `2b`.
    """
    pattern = r"(\w+?)(\d*)_branch(\d)_(?:conv|split)(\d)(?:_branch(\d)_conv1)?"
    module, number, branch, position, half = match_groups(pattern, unit)
    return module, int(number or 0), int(branch), position + (" ab"[int(half)] if half else "")


def _sequential(branch: int, position: str, *, single: tuple[int, ...] = ()) -> str:
    """Name a convolution in branches that PyTorch counts from 0; the branches in `single` have only one."""
    return f"branch{branch - 1}" if branch in single else f"branch{branch - 1}.{int(position) - 1}"


NAMES: dict[str, Callable[[str, ModelCard], str]] = {
    "densenet:densenet": densenet,
    "efficientnet:efficientnet": inverted_residuals,
    "inception:inception_v3": inception_v3,
    "inception:inception_v4": inception_v4,
    "inception_resnet:inception_resnet_v2": inception_resnet_v2,
    "mobilenet_v1:mobilenet_v1": mobilenet_v1,
    "mobilenet_v2:mobilenet_v2": inverted_residuals,
    "mobilenet_v3:mobilenet_v3": mobilenet_v3,
    "resnet:resnet": resnet,
    "vgg:vgg": vgg,
}
IGNORED_PREFIXES = {"inception:inception_v3": ("AuxLogits.",)}
