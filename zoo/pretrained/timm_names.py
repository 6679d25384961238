"""timm's names of our layers: the prefixes of the tensors in its state dicts.

Each function takes the name of a layer with weights of a model's flat form and the model's card, and gives the name
of the module that holds these weights in timm 1.0 (huggingface/pytorch-image-models).
"""

import re
from collections.abc import Callable

from ..cards import ModelCard
from ..mobilenet_v3 import SIZES


def resnet(ours: str, card: ModelCard) -> str:
    """`stage1_block1_conv1_conv` is `layer1.0.conv1`; torchvision's names are the same."""
    ends = {"stem_conv": "conv1", "stem_norm": "bn1", "head_dense": "fc"}
    if ours in ends:
        return ends[ours]
    stage, block, part = re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", ours).groups()
    parts = {
        "shortcut_conv": "downsample.0",
        "shortcut_norm": "downsample.1",
        "se_reduce_conv": "se.fc1",
        "se_expand_conv": "se.fc2",
    }
    parts |= {f"conv{place}_conv": f"conv{place}" for place in (1, 2, 3)}
    parts |= {f"conv{place}_norm": f"bn{place}" for place in (1, 2, 3)}
    return f"layer{stage}.{int(block) - 1}.{parts[part]}"


def vgg(ours: str, card: ModelCard) -> str:
    """`stage1_conv1_conv` is `features.0`; the dense layers are convolutions."""
    ends = {"dense1": "pre_logits.fc1", "dense2": "pre_logits.fc2", "head_dense": "head.fc"}
    return ends.get(ours) or vgg_features(ours, card)


def vgg_features(ours: str, card: ModelCard) -> str:
    """A convolution or its BatchNorm by its place in the list that activations and poolings are counted in too."""
    stage, conv, kind = re.fullmatch(r"stage(\d)_conv(\d)_(conv|norm)", ours).groups()
    convs = card.arguments["convs"][: int(stage) - 1]
    unit = 3 if card.arguments.get("batch_norm") else 2
    place = unit * (sum(convs) + int(conv) - 1) + len(convs) + (kind == "norm")
    return f"features.{place}"


def densenet(ours: str, card: ModelCard) -> str:
    """`stage1_block_layer1_conv1_conv` is `features.denseblock1.denselayer1.conv1`; torchvision's are the same."""
    ends = {
        "stem_conv": "features.conv0",
        "stem_norm": "features.norm0",
        "final_norm": "features.norm5",
        "head_dense": "classifier",
    }
    if ours in ends:
        return ends[ours]
    stage, place = re.match(r"stage(\d)_(transition|block_layer\d+)_", ours).groups()
    if place == "transition":
        return f"features.transition{int(stage) - 1}.{'norm' if ours.endswith('norm') else 'conv'}"
    parts = {"pre_norm": "norm1", "conv1_conv": "conv1", "conv1_norm": "norm2", "conv2_conv": "conv2"}
    layer, part = re.search(r"layer(\d+)_(\w+)", ours).groups()
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
"""Of a block that expands."""
SEPARABLE = INVERTED | {"depthwise_norm": "bn1", "project_conv": "conv_pw", "project_norm": "bn2"}
"""Of one that does not."""


def mobilenet_v1(ours: str, card: ModelCard) -> str:
    """`stage1_block1_pointwise_conv` is `blocks.0.0.conv_pw`."""
    return _mobile(ours.replace("pointwise", "project"), separable_stages="12345")


def inverted_residuals(ours: str, card: ModelCard) -> str:
    """Of MobileNetV2 and EfficientNet: `stage2_block1_depthwise_conv` is `blocks.1.0.conv_dw`."""
    return _mobile(ours, separable_stages="1")


def mobilenet_v3(ours: str, card: ModelCard) -> str:
    """As before, but the convolution before the pooling counts as a stage."""
    last = len(SIZES[card.arguments["size"]])
    ends = {"final_conv": f"blocks.{last}.0.conv", "final_norm": f"blocks.{last}.0.bn1", "neck_conv_conv": "conv_head"}
    return ends.get(ours) or _mobile(ours, separable_stages="1")


def _mobile(ours: str, separable_stages: str) -> str:
    if ours in MOBILE_ENDS:
        return MOBILE_ENDS[ours]
    stage, block, part = re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", ours).groups()
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
"""Of Inception v3, by module: its branches, where `{}` is the place of a convolution."""


def inception_v3(ours: str, card: ModelCard) -> str:
    """`stage1_block1_branch2_conv1_conv` is `Mixed_5b.branch5x5_1.conv`; torchvision's names are the same."""
    if ours == "head_dense":
        return "fc"
    unit, kind = _unit(ours)
    if unit.startswith("stem"):
        return f"Conv2d_{V3_STEM[int(unit[-1]) - 1]}.{kind}"
    module, number, branch, place = _in_module(unit)
    # Stages 1 to 3 are Mixed_5, 6 and 7: 5b, 5c, ..., and 6a, 7a for the reductions.
    letter = "abcde"[number]
    theirs = V3_BRANCHES[module][branch - 1].format(place)
    return f"Mixed_{int(module[5]) + 4}{letter}.{theirs}.{kind}"


V4_MODULES = {"stage1_block": 5, "stage2_reduction": 10, "stage2_block": 10, "stage3_reduction": 18, "stage3_block": 18}
"""Place of a module in timm's list of features, less its own number."""


def inception_v4(ours: str, card: ModelCard) -> str:
    """`stage1_block1_branch2_conv1_conv` is `features.6.branch1.0.conv`."""
    if ours == "head_dense":
        return "last_linear"
    unit, kind = _unit(ours)
    if re.fullmatch(r"stem_conv\d", unit):
        return f"features.{int(unit[-1]) - 1}.{kind}"
    if unit.startswith(("stem_mixed1", "stem_mixed3")):  # one convolution beside a pooling
        return f"features.{int(unit[10]) + 2}.conv.{kind}"
    module, number, branch, place = _in_module(unit)
    if module == "stem_mixed":
        return f"features.4.{_sequential(branch, place)}.{kind}"
    theirs = f"features.{V4_MODULES[module] + number}"
    if module == "stage3_block" and branch in (2, 3):
        return f"{theirs}.branch{branch - 1}_{int(place[0]) - 1}{place[1:]}.{kind}"
    return f"{theirs}.{_sequential(branch, place, single=() if module == 'stage3_reduction' else (1,))}.{kind}"


RESNET_V2_STAGES = {"1": ("mixed_5b", "repeat"), "2": ("mixed_6a", "repeat_1"), "3": ("mixed_7a", "repeat_2")}
"""Of Inception-ResNet v2: the module that a stage begins with, and the list of its blocks."""


def inception_resnet_v2(ours: str, card: ModelCard) -> str:
    """`stage1_block1_branch2_conv1_conv` is `repeat.0.branch1.0.conv`."""
    if ours == "head_dense":
        return "classif"
    unit, kind = _unit(ours)
    if unit.startswith("stem"):
        return f"conv2d_{V3_STEM[int(unit[-1]) - 1][:2]}.{kind}"
    if unit == "final":
        return f"conv2d_7b.{kind}"
    stage, block, part = re.fullmatch(r"stage(\d)_(?:entry|block(\d+))_(\w+)", unit).groups()
    entry, blocks = RESNET_V2_STAGES[stage]
    last = (stage, block) == ("3", "10")  # which has no activation at its end
    theirs = "block8" if last else f"{blocks}.{int(block) - 1}" if block else entry
    if part == "expand":
        return f"{theirs}.conv2d"
    _, _, branch, place = _in_module(unit)
    return f"{theirs}.{_sequential(branch, place, single=() if theirs == 'mixed_7a' else (1,))}.{kind}"


def _unit(ours: str) -> tuple[str, str]:
    """A convolution with its BatchNorm, and which of both: timm's `conv` or `bn`."""
    unit, _, kind = ours.rpartition("_")
    return unit, {"conv": "conv", "norm": "bn"}[kind]


def _in_module(unit: str) -> tuple[str, int, int, str]:
    """Kind of an Inception module, its number (0 where there is but one), the branch, and the place of a convolution.

    Of the convolutions that share a place behind a split the first is `2a`, the second `2b`.
    """
    pattern = r"(\w+?)(\d*)_branch(\d)_(?:conv|split)(\d)(?:_branch(\d)_conv1)?"
    module, number, branch, place, half = re.fullmatch(pattern, unit).groups()
    return module, int(number or 0), int(branch), place + (" ab"[int(half)] if half else "")


def _sequential(branch: int, place: str, *, single: tuple[int, ...] = ()) -> str:
    """A convolution of the branches that PyTorch counts from 0; those in `single` hold no more than one."""
    return f"branch{branch - 1}" if branch in single else f"branch{branch - 1}.{int(place) - 1}"


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
PASSED_OVER = {"inception:inception_v3": ("AuxLogits.",)}
