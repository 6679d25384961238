"""Inception v1 (GoogLeNet), v3 and v4.

Szegedy et al.: Going Deeper with Convolutions (arXiv:1409.4842); Rethinking the Inception Architecture for Computer
Vision (arXiv:1512.00567); Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning
(arXiv:1602.07261). Where the figures and the authors' code (TF-slim) differ, this file follows the code.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..layers import ConvNormAct, InceptionModule
from ..layers.dimensions import for_map
from ..layers.heads import Head, VectorHead
from ..layers.inception_module import Branches, Step, average_pool, conv, max_pool, scale_branches, scale_filters, split
from ..layers.norm_and_activation import Norm

NORM: dict[str, Any] = {"name": "batch", "epsilon": 1e-3}
BARE_NORM: dict[str, Any] = NORM | {"scale": False}
"""BatchNorm without a learned scale (gamma), as in the authors' code."""
REDUCE: dict[str, Any] = {"strides": 2, "padding": "valid"}
AUXILIARY_HEADS = {"auxiliary1": "stage2_block1", "auxiliary2": "stage2_block4"}
"""Layers that the auxiliary heads attach to: modules 4a and 4d."""


def inception_v1(pixels: keras.KerasTensor, *, width: float = 1.0, norm: Norm = NORM) -> keras.KerasTensor:
    """Apply Inception v1 (GoogLeNet) and return the feature map before global pooling.

    Stages 1, 2 and 3 are the paper's modules 3a-3b, 4a-4e and 5a-5b. BatchNorm replaces the biases and the two local
    response normalizations, which edge runtimes do not support.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        width: Channel multiplier.
        norm: Normalization after each convolution; None for biases, as in the paper.
    """
    # Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
    stages = [
        [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
        [
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ],
        [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
    ]
    x = ConvNormAct(scale_filters(64, width), 7, strides=2, padding=3, norm=norm, name="stem_conv1")(pixels)
    x = for_map(layers.MaxPooling2D, x)(3, strides=2, padding="same", name="stem_pool1")(x)
    x = ConvNormAct(scale_filters(64, width), 1, norm=norm, name="stem_conv2")(x)
    x = ConvNormAct(scale_filters(192, width), 3, norm=norm, name="stem_conv3")(x)
    x = for_map(layers.MaxPooling2D, x)(3, strides=2, padding="same", name="stem_pool2")(x)
    for stage, modules in enumerate(stages, start=1):
        if stage > 1:
            x = for_map(layers.MaxPooling2D, x)(3, strides=2, padding="same", name=f"stage{stage}_pool")(x)
        for block, filters in enumerate(modules, start=1):
            module = scale_branches(_v1_module(*filters), width)
            x = InceptionModule(module, norm=norm, name=f"stage{stage}_block{block}")(x)
    return x


def _v1_module(one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int) -> Branches:
    """Figure 2b."""
    return [
        [conv(one, 1)],
        [conv(reduce3, 1), conv(three, 3)],
        [conv(reduce5, 1), conv(five, 5)],
        [max_pool(3), conv(pool, 1)],
    ]


@check_arguments
def with_auxiliary_heads(model: keras.Model) -> keras.Model:
    """Add the paper's two auxiliary classifiers to an `inception_v1`, for training.

    They take the outputs of modules 4a and 4d and predict the same as the head. In the paper their losses have a weight
    of 0.3: `compile(optimizer, dict.fromkeys(both.output_names, "sparse_categorical_crossentropy"),
    loss_weights={"head": 1, "auxiliary1": 0.3, "auxiliary2": 0.3})`. After training continue with `model`, which shares
    its layers with the returned model.

    Args:
        model: A model from `create_model("inception_v1")` with one head and a fixed height and width of 65 pixels or
            more.

    Returns:
        A model with the same input and a dict of outputs `"head"`, `"auxiliary1"` and `"auxiliary2"`.

    Raises:
        InputError: `model` is not such a model.
    """
    heads = [layer for layer in model.layers if isinstance(layer, Head)]
    if model.name != "inception_v1" or len(heads) != 1 or not isinstance(heads[0], VectorHead):
        raise InputError(
            f"{model.name} cannot have auxiliary heads: they need an inception_v1 with one head, for classification, "
            "multi_label or regression."
        )
    head = heads[0]
    outputs = {"head": head.output}
    for name, layer in AUXILIARY_HEADS.items():
        x = model.get_layer(layer).output
        if None in x.shape[1:3] or min(x.shape[1:3]) < 5:
            size = tuple(model.input_shape[1:3])
            raise InputError(
                f"the input size of {model.name} is {size}: auxiliary heads need a fixed height and width of 65 pixels "
                "or more."
            )
        x = layers.AveragePooling2D(5, strides=3, name=f"{name}_pool")(x)
        x = ConvNormAct(128, 1, norm=model.get_layer(layer).norm, name=f"{name}_conv")(x)
        x = layers.Flatten(name=f"{name}_flatten")(x)
        x = layers.Dense(1024, activation="relu", name=f"{name}_hidden")(x)
        outputs[name] = type(head)(head.classes, labels=head.labels, dropout=0.7, name=name)(x)
    # Not the card's name, because the card's head and endpoints do not describe this model.
    return keras.Model(model.input, outputs, name="inception_v1_in_training")


def inception_v3(
    pixels: keras.KerasTensor,
    *,
    pool_filters: Sequence[int] = (32, 64, 64),
    factor_filters: Sequence[int] = (128, 160, 160, 192),
    last_blocks: int = 2,
    width: float = 1.0,
    norm: Norm = BARE_NORM,
    average_pool_padding: str | int = "same",
) -> keras.KerasTensor:
    """Apply Inception v3 and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        pool_filters: Channels of the pool projection in each block of stage 1.
        factor_filters: Channels between the 1x7 and 7x1 convolutions in each block of stage 2.
        last_blocks: Number of blocks in stage 3.
        width: Channel multiplier.
        norm: Normalization after each convolution; PyTorch's models also learn a scale (gamma).
        average_pool_padding: Padding of the average pooling: `"same"`, or 1 for zero padding that is counted in the
            mean, as in PyTorch's models.
    """
    x = v3_stem(pixels, width, norm)
    pool = average_pool(3, padding=average_pool_padding)
    stages = [
        [_v3_module_a(filters, pool) for filters in pool_filters],
        [_v3_module_b(filters, pool) for filters in factor_filters],
        [_v3_module_c(pool) for _ in range(last_blocks)],
    ]
    return _stages(x, stages, {2: _v3_reduction_a(), 3: _v3_reduction_b()}, width, norm)


def v3_stem(x: keras.KerasTensor, width: float, norm: Norm) -> keras.KerasTensor:
    """Apply the stem of Inception v3 and Inception-ResNet v2, which reduces 299x299 pixels to 35x35."""
    x = ConvNormAct(scale_filters(32, width), 3, **REDUCE, norm=norm, name="stem_conv1")(x)
    x = ConvNormAct(scale_filters(32, width), 3, padding="valid", norm=norm, name="stem_conv2")(x)
    x = ConvNormAct(scale_filters(64, width), 3, norm=norm, name="stem_conv3")(x)
    x = for_map(layers.MaxPooling2D, x)(3, strides=2, name="stem_pool1")(x)
    x = ConvNormAct(scale_filters(80, width), 1, norm=norm, name="stem_conv4")(x)
    x = ConvNormAct(scale_filters(192, width), 3, padding="valid", norm=norm, name="stem_conv5")(x)
    return for_map(layers.MaxPooling2D, x)(3, strides=2, name="stem_pool2")(x)


def _v3_module_a(filters: int, pool: Step) -> Branches:
    """Figure 5, with the 5x5 convolution of v1."""
    return [
        [conv(64, 1)],
        [conv(48, 1), conv(64, 5)],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [pool, conv(filters, 1)],
    ]


def _v3_reduction_a() -> Branches:
    """Figure 10."""
    return [
        [conv(384, 3, **REDUCE)],
        [conv(64, 1), conv(96, 3), conv(96, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _v3_module_b(mid: int, pool: Step) -> Branches:
    """Figure 6 with n = 7."""
    return [
        [conv(192, 1)],
        [conv(mid, 1), conv(mid, (1, 7)), conv(192, (7, 1))],
        [conv(mid, 1), conv(mid, (7, 1)), conv(mid, (1, 7)), conv(mid, (7, 1)), conv(192, (1, 7))],
        [pool, conv(192, 1)],
    ]


def _v3_reduction_b() -> Branches:
    """Figure 10 after factorized convolutions."""
    return [
        [conv(192, 1), conv(320, 3, **REDUCE)],
        [conv(192, 1), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _v3_module_c(pool: Step) -> Branches:
    """Figure 7."""
    return [
        [conv(320, 1)],
        [conv(384, 1), split([conv(384, (1, 3))], [conv(384, (3, 1))])],
        [conv(448, 1), conv(384, 3), split([conv(384, (1, 3))], [conv(384, (3, 1))])],
        [pool, conv(192, 1)],
    ]


def inception_v4(
    pixels: keras.KerasTensor, *, blocks: Sequence[int] = (4, 7, 3), width: float = 1.0
) -> keras.KerasTensor:
    """Apply Inception v4 and return the feature map before global pooling.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`.
        blocks: Number of modules in each of the three stages (figure 9).
        width: Channel multiplier.
    """
    x = ConvNormAct(scale_filters(32, width), 3, **REDUCE, norm=NORM, name="stem_conv1")(pixels)
    x = ConvNormAct(scale_filters(32, width), 3, padding="valid", norm=NORM, name="stem_conv2")(x)
    x = ConvNormAct(scale_filters(64, width), 3, norm=NORM, name="stem_conv3")(x)
    for number, module in enumerate(_v4_stem_modules(), start=1):
        x = InceptionModule(scale_branches(module, width), norm=NORM, name=f"stem_mixed{number}")(x)
    modules = [_v4_module_a, _v4_module_b, _v4_module_c]
    stages = [[module() for _ in range(count)] for module, count in zip(modules, blocks, strict=True)]
    return _stages(x, stages, {2: _v4_reduction_a(), 3: _v4_reduction_b()}, width, NORM)


def _v4_stem_modules() -> list[Branches]:
    """The three branching points of the stem in figure 3."""
    return [
        [[max_pool(3, **REDUCE)], [conv(96, 3, **REDUCE)]],
        [
            [conv(64, 1), conv(96, 3, padding="valid")],
            [conv(64, 1), conv(64, (1, 7)), conv(64, (7, 1)), conv(96, 3, padding="valid")],
        ],
        [[conv(192, 3, **REDUCE)], [max_pool(3, **REDUCE)]],
    ]


def _v4_module_a() -> Branches:
    """Figure 4."""
    return [
        [conv(96, 1)],
        [conv(64, 1), conv(96, 3)],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [average_pool(3), conv(96, 1)],
    ]


def _v4_reduction_a() -> Branches:
    """Figure 7 with k, l, m, n = 192, 224, 256, 384."""
    return [
        [conv(384, 3, **REDUCE)],
        [conv(192, 1), conv(224, 3), conv(256, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _v4_module_b() -> Branches:
    """Figure 5."""
    return [
        [conv(384, 1)],
        [conv(192, 1), conv(224, (1, 7)), conv(256, (7, 1))],
        [conv(192, 1), conv(192, (7, 1)), conv(224, (1, 7)), conv(224, (7, 1)), conv(256, (1, 7))],
        [average_pool(3), conv(128, 1)],
    ]


def _v4_reduction_b() -> Branches:
    """Figure 8."""
    return [
        [conv(192, 1), conv(192, 3, **REDUCE)],
        [conv(256, 1), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, **REDUCE)],
        [max_pool(3, **REDUCE)],
    ]


def _v4_module_c() -> Branches:
    """Figure 6."""
    return [
        [conv(256, 1)],
        [conv(384, 1), split([conv(256, (1, 3))], [conv(256, (3, 1))])],
        [conv(384, 1), conv(448, (3, 1)), conv(512, (1, 3)), split([conv(256, (1, 3))], [conv(256, (3, 1))])],
        [average_pool(3), conv(256, 1)],
    ]


def _stages(
    x: keras.KerasTensor,
    stages: Sequence[Sequence[Branches]],
    reductions: dict[int, Branches],
    width: float,
    norm: Norm,
) -> keras.KerasTensor:
    """Apply the modules in sequence, each stage but the first after its reduction."""
    for stage, modules in enumerate(stages, start=1):
        if stage in reductions:
            x = InceptionModule(scale_branches(reductions[stage], width), norm=norm, name=f"stage{stage}_reduction")(x)
        for block, module in enumerate(modules, start=1):
            x = InceptionModule(scale_branches(module, width), norm=norm, name=f"stage{stage}_block{block}")(x)
    return x
