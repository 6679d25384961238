"""Inception v1 (GoogLeNet), v3 and v4.

Szegedy et al.: Going Deeper with Convolutions (arXiv:1409.4842); Rethinking the Inception Architecture for Computer
Vision (arXiv:1512.00567); Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning
(arXiv:1602.07261). Where the figures and the authors' code (TF-slim) differ, the code is followed.
"""

from collections.abc import Sequence

import keras
from keras import layers

from ..core.errors import InputError
from ..layers import ConvNormAct, InceptionModule
from ..layers.heads import Head, VectorHead
from ..layers.inception_module import Branches, Step, average_pool, conv, max_pool, scaled, split, times
from ..layers.norm_and_activation import Norm

NORM = {"name": "batch", "epsilon": 1e-3}
BARE_NORM = NORM | {"scale": False}
"""Without a gain, as in the authors' code."""
REDUCE = {"strides": 2, "padding": "valid"}
AUXILIARY_HEADS = {"auxiliary1": "stage2_block1", "auxiliary2": "stage2_block4"}
"""Where they branch off: after modules 4a and 4d."""


def inception_v1(pixels: keras.KerasTensor, *, width: float = 1.0, norm: Norm = NORM) -> keras.KerasTensor:
    """GoogLeNet: normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Stages 1, 2 and 3 are the paper's modules 3a-3b, 4a-4e and 5a-5b. BatchNorm stands for the biases and for the two
    local response normalisations, which edge runtimes refuse.

    Args:
        pixels: What the image holds, normalised.
        width: Times as many channels everywhere.
        norm: After each convolution; None for biases, as in the paper.
    """
    # Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection of the pooling.
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
    x = ConvNormAct(times(width, 64), 7, strides=2, padding=3, norm=norm, name="stem_conv1")(pixels)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool1")(x)
    x = ConvNormAct(times(width, 64), 1, norm=norm, name="stem_conv2")(x)
    x = ConvNormAct(times(width, 192), 3, norm=norm, name="stem_conv3")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool2")(x)
    for stage, modules in enumerate(stages, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"stage{stage}_pool")(x)
        for block, filters in enumerate(modules, start=1):
            module = scaled(_v1_module(*filters), width)
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


def with_auxiliary_heads(model: keras.Model) -> keras.Model:
    """An `inception_v1` with the paper's two auxiliary classifiers beside its head, to be trained in its place.

    They see the maps of modules 4a and 4d and answer what the head answers. In the paper their losses count 0.3 times:
    `compile(optimizer, dict.fromkeys(both.output_names, "sparse_categorical_crossentropy"), loss_weights={"head": 1,
    "auxiliary1": 0.3, "auxiliary2": 0.3})`. After training go on with `model`, whose layers the new one shares.

    Args:
        model: A model that `create_model("inception_v1")` made, with one head and a fixed height and width of 65 pixels
            or more.

    Returns:
        A model from the same pixels to a dict of `"head"`, `"auxiliary1"` and `"auxiliary2"`.

    Raises:
        InputError: `model` is none of these.
    """
    heads = [layer for layer in model.layers if isinstance(layer, Head)]
    if model.name != "inception_v1" or len(heads) != 1 or not isinstance(heads[0], VectorHead):
        raise InputError(
            f"{model.name} cannot take auxiliary heads: they are for an inception_v1 with one head, which is for "
            "classification, multi_label or regression."
        )
    head = heads[0]
    outputs = {"head": head.output}
    for name, layer in AUXILIARY_HEADS.items():
        x = model.get_layer(layer).output
        if None in x.shape[1:3] or min(x.shape[1:3]) < 5:
            size = tuple(model.input_shape[1:3])
            raise InputError(
                f"{model.name} takes {size}: auxiliary heads need a fixed height and width of 65 pixels or more."
            )
        x = layers.AveragePooling2D(5, strides=3, name=f"{name}_pool")(x)
        x = ConvNormAct(128, 1, norm=model.get_layer(layer).norm, name=f"{name}_conv")(x)
        x = layers.Flatten(name=f"{name}_flatten")(x)
        x = layers.Dense(1024, activation="relu", name=f"{name}_hidden")(x)
        outputs[name] = type(head)(head.classes, labels=head.labels, dropout=0.7, name=name)(x)
    # Another name than the card's, which says where the head and the endpoints are.
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
    """Inception v3: normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Args:
        pixels: What the image holds, normalised.
        pool_filters: Of stage 1, block by block: channels after the pooling.
        factor_filters: Of stage 2, block by block: channels between the 1x7 and 7x1 convolutions.
        last_blocks: Blocks of stage 3.
        width: Times as many channels everywhere.
        norm: After each convolution; PyTorch's nets have a gain.
        average_pool_padding: Of the average poolings: `"same"`, or 1 for zeros around the map that are averaged too,
            as PyTorch's nets do.
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
    """The stem of v3, which Inception-ResNet v2 has too: 299x299 pixels to 35x35 places."""
    x = ConvNormAct(times(width, 32), 3, **REDUCE, norm=norm, name="stem_conv1")(x)
    x = ConvNormAct(times(width, 32), 3, padding="valid", norm=norm, name="stem_conv2")(x)
    x = ConvNormAct(times(width, 64), 3, norm=norm, name="stem_conv3")(x)
    x = layers.MaxPooling2D(3, strides=2, name="stem_pool1")(x)
    x = ConvNormAct(times(width, 80), 1, norm=norm, name="stem_conv4")(x)
    x = ConvNormAct(times(width, 192), 3, padding="valid", norm=norm, name="stem_conv5")(x)
    return layers.MaxPooling2D(3, strides=2, name="stem_pool2")(x)


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
    """Figure 10 behind factorised convolutions."""
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
    """Inception v4: normalised pixels `(batch, height, width, channels)` to the map before the pooling.

    Args:
        pixels: What the image holds, normalised.
        blocks: Modules of each of the three stages (figure 9).
        width: Times as many channels everywhere.
    """
    x = ConvNormAct(times(width, 32), 3, **REDUCE, norm=NORM, name="stem_conv1")(pixels)
    x = ConvNormAct(times(width, 32), 3, padding="valid", norm=NORM, name="stem_conv2")(x)
    x = ConvNormAct(times(width, 64), 3, norm=NORM, name="stem_conv3")(x)
    for number, module in enumerate(_v4_stem_modules(), start=1):
        x = InceptionModule(scaled(module, width), norm=NORM, name=f"stem_mixed{number}")(x)
    modules = [_v4_module_a, _v4_module_b, _v4_module_c]
    stages = [[module() for _ in range(count)] for module, count in zip(modules, blocks, strict=True)]
    return _stages(x, stages, {2: _v4_reduction_a(), 3: _v4_reduction_b()}, width, NORM)


def _v4_stem_modules() -> list[Branches]:
    """The three places of figure 3 where the stem branches."""
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
    """Modules after one another, each stage but the first behind its reduction."""
    for stage, modules in enumerate(stages, start=1):
        if stage in reductions:
            x = InceptionModule(scaled(reductions[stage], width), norm=norm, name=f"stage{stage}_reduction")(x)
        for block, module in enumerate(modules, start=1):
            x = InceptionModule(scaled(module, width), norm=norm, name=f"stage{stage}_block{block}")(x)
    return x
