"""The rule of each layer, by the name in its traits (`core/layer_traits.py`)."""

import keras
import numpy as np

from .....core.flat_graph import Node
from .....core.layer_traits import traits_of
from .kernel_rules import (
    ConvolutionRule,
    DepthwiseRule,
    KernelRule,
    SeparableRule,
    TransposedConvolutionRule,
)
from .layer_rules import (
    ConcatenationRule,
    CroppingRule,
    JoiningRule,
    LayerRule,
    MixingRule,
    NormalizationRule,
    PaddingRule,
    PassingRule,
    PointwiseRule,
    ReshapingRule,
    ScalingRule,
    SlopeRule,
)

RULES: dict[str, LayerRule] = {
    "unknown": LayerRule(),
    "dense": KernelRule(),
    "convolution": ConvolutionRule(),
    "transposed_convolution": TransposedConvolutionRule(),
    "depthwise": DepthwiseRule(),
    "separable": SeparableRule(),
    "normalization": NormalizationRule(),
    "concatenation": ConcatenationRule(),
    "adding": JoiningRule(is_additive=True),
    "joining": JoiningRule(),
    "padding": PaddingRule(),
    "cropping": CroppingRule(),
    "reshaping": ReshapingRule(),
    "passing": PassingRule(),
    "pointwise": PointwiseRule(),
    "scaling": ScalingRule(),
    "slopes": SlopeRule(),
    "mixing": MixingRule(),
}


def rule_of(node: Node) -> LayerRule:
    """Return how a layer or operation treats channels."""
    rule = RULES[traits_of(node.operation).channels]
    if not node.is_layer:
        return rule if _takes_tensors_only(node) else RULES["unknown"]
    channels_first = getattr(node.operation, "data_format", None) == "channels_first"
    return RULES["unknown"] if channels_first and not isinstance(rule, PaddingRule | CroppingRule) else rule


def _takes_tensors_only(node: Node) -> bool:
    """Whether no argument is a constant that may have one number per channel."""
    return not any(
        np.size(value) > 1
        for value in keras.tree.flatten((node.args, node.kwargs))
        if isinstance(value, np.ndarray) or keras.ops.is_tensor(value)
    )
