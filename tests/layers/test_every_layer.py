"""What every layer must do; a new layer joins by its lines in CASES."""

import keras
import numpy as np
import pytest
from keras.src import testing

from pocketzoo import layers

CASES = [
    pytest.param(
        layers.PixelNormalization, {"mean": [1.0, 2.0, 3.0], "scale": 0.5}, (2, 6, 6, 3), (2, 6, 6, 3), 0, id="pixels"
    ),
    pytest.param(
        layers.ConvNormAct, {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 6, 6, 3), (2, 3, 3, 4), 3, id="conv"
    ),
    pytest.param(
        layers.ConvNormAct,
        {"filters": 4, "kernel_size": 3, "padding": "valid", "norm": None, "activation": None},
        (2, 6, 6, 3),
        (2, 4, 4, 4),
        2,
        id="conv-bare",
    ),
    pytest.param(layers.ResidualBlock, {"filters": 3, "mid_filters": 5}, (2, 6, 6, 3), (2, 6, 6, 3), 6, id="residual"),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "strides": 2, "shortcut": "projection"},
        (2, 6, 6, 3),
        (2, 3, 3, 6),
        9,
        id="residual-projection",
    ),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "strides": 2, "shortcut": "pad", "pad_channels": (1, 2)},
        (2, 7, 7, 3),
        (2, 4, 4, 6),
        6,
        id="residual-pad",
    ),
    pytest.param(
        layers.ConvNormAct,
        {"filters": 4, "kernel_size": (1, 7), "norm": {"name": "batch", "scale": False}, "activation": "prelu"},
        (2, 6, 8, 3),
        (2, 6, 8, 4),
        3,
        id="conv-1x7-prelu",
    ),
    pytest.param(
        layers.ConvNormAct,
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": 1, "groups": 2, "norm": "layer"},
        (2, 6, 6, 2),
        (2, 3, 3, 4),
        3,
        id="conv-zeros-groups",
    ),
    pytest.param(
        layers.DepthwiseConvNormAct,
        {"kernel_size": 3, "padding": 2, "dilation_rate": 2},
        (2, 6, 6, 3),
        (2, 6, 6, 3),
        3,
        id="depthwise",
    ),
    pytest.param(
        layers.SeparableConvNormAct,
        {"filters": 5, "kernel_size": 3, "strides": 2},
        (2, 6, 6, 3),
        (2, 3, 3, 5),
        4,
        id="separable",
    ),
    pytest.param(
        layers.SeparableConvNormAct,
        {"filters": 5, "kernel_size": 3, "between": True},
        (2, 6, 6, 3),
        (2, 6, 6, 5),
        6,
        id="separable-between",
    ),
    pytest.param(layers.NormAct, {"norm": "instance"}, (2, 6, 6, 3), (2, 6, 6, 3), 2, id="norm-act"),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "shortcut": "projection", "pre_activation": True},
        (2, 6, 6, 3),
        (2, 6, 6, 6),
        9,
        id="residual-pre-activation",
    ),
    pytest.param(
        layers.Bottleneck,
        {"filters": 8, "mid_filters": 4, "strides": 2, "groups": 2, "padding": 1, "shortcut": "projection"},
        (2, 6, 6, 3),
        (2, 3, 3, 8),
        12,
        id="bottleneck",
    ),
    pytest.param(
        layers.Bottleneck,
        {"filters": 3, "mid_filters": 2, "strides": 2, "pre_activation": True, "shortcut": "subsample", "padding": 1},
        (2, 7, 7, 3),
        (2, 4, 4, 3),
        10,
        id="bottleneck-pre-activation",
    ),
    pytest.param(
        layers.Bottleneck,
        {"filters": 4, "mid_filters": 2, "attention": "cbam", "squeeze_filters": 2, "stochastic_depth": 0.2},
        (2, 6, 6, 4),
        (2, 6, 6, 4),
        16,
        id="bottleneck-cbam-stochastic-depth",
    ),
    pytest.param(
        layers.DenseBlock, {"growths": [2, 3], "bottlenecks": [4, 5]}, (2, 6, 6, 3), (2, 6, 6, 8), 12, id="dense-block"
    ),
    pytest.param(layers.Transition, {"filters": 2}, (2, 7, 6, 3), (2, 3, 3, 2), 3, id="transition"),
    pytest.param(
        layers.SqueezeExcite, {"filters": 3, "squeeze_filters": 2}, (2, 6, 6, 3), (2, 6, 6, 3), 4, id="squeeze-excite"
    ),
    pytest.param(layers.ChannelAttention, {"filters": 3, "squeeze_filters": 2}, (2, 6, 6, 3), (2, 6, 6, 3), 4, id="ca"),
    pytest.param(layers.SpatialAttention, {"kernel_size": 3}, (2, 6, 6, 3), (2, 6, 6, 3), 3, id="spatial-attention"),
    pytest.param(layers.CBAM, {"filters": 3, "squeeze_filters": 2}, (2, 6, 6, 3), (2, 6, 6, 3), 7, id="cbam"),
    pytest.param(
        layers.LocalResponseNormalization, {"depth_radius": 1, "alpha": 0.5}, (2, 6, 6, 3), (2, 6, 6, 3), 0, id="lrn"
    ),
    pytest.param(
        layers.L2Pool2D,
        {"pool_size": (3, 2), "strides": 2, "padding": "same"},
        (2, 7, 6, 3),
        (2, 4, 3, 3),
        0,
        id="l2-pool",
    ),
    pytest.param(layers.SpatialPyramidPooling2D, {"bins": [3, 1]}, (2, 7, 5, 3), (2, 30), 0, id="pyramid"),
    pytest.param(layers.SpatialPyramidPooling2D, {"bins": [2]}, (2, 7, 5, 3), (2, 12), 0, id="pyramid-one-level"),
    pytest.param(
        layers.ASPP,
        {"filters": 4, "branch_filters": [2, 3, 5], "pooled_filters": 6, "rates": [1, 2], "dropout": 0.1},
        (2, 7, 6, 3),
        (2, 7, 6, 4),
        16,
        id="aspp",
    ),
    pytest.param(
        layers.UpBlock,
        {"filters": 4, "mid_filters": 5, "up_filters": 3, "padding": "valid", "norm": None},
        [(2, 4, 5, 6), (2, 9, 9, 2)],
        (2, 4, 5, 4),
        6,
        id="up-paper",
    ),
    pytest.param(
        layers.UpBlock,
        {"filters": 4, "mid_filters": 5, "up": "resize", "up_filters": 3},
        [(2, 4, 5, 6), (2, 7, 11, 2)],
        (2, 7, 11, 4),
        9,
        id="up-resize",
    ),
    pytest.param(
        layers.UpBlock,
        {"filters": 4, "mid_filters": 5, "up": "resize"},
        (2, 4, 5, 6),
        (2, 8, 10, 4),
        6,
        id="up-without-skip",
    ),
    pytest.param(
        layers.InceptionModule,
        {
            "branches": [
                [{"kind": "conv", "filters": 2, "kernel_size": 1}],
                [
                    {"kind": "conv", "filters": 3, "kernel_size": [1, 7]},
                    {"kind": "conv", "filters": 2, "kernel_size": 3},
                ],
                [{"kind": "average_pool", "pool_size": 3, "strides": 1, "padding": "same"}],
            ]
        },
        (2, 6, 6, 3),
        (2, 6, 6, 7),
        9,
        id="inception",
    ),
    pytest.param(
        layers.InceptionModule,
        {
            "branches": [
                [{"kind": "conv", "filters": 4, "kernel_size": 3, "strides": 2, "padding": "valid"}],
                [{"kind": "max_pool", "pool_size": 3, "strides": 2}],
            ],
            "norm": None,
            "activation": None,
        },
        (2, 7, 6, 3),
        (2, 3, 2, 7),
        2,
        id="inception-reduction-bare",
    ),
    pytest.param(
        layers.InceptionModule,
        {
            "branches": [
                [
                    {"kind": "conv", "filters": 2, "kernel_size": 1},
                    {
                        "kind": "split",
                        "branches": [
                            [{"kind": "conv", "filters": 3, "kernel_size": [1, 3]}],
                            [{"kind": "conv", "filters": 4, "kernel_size": [3, 1]}],
                        ],
                    },
                ],
                [],
            ],
            "norm": {"name": "batch", "scale": False},
        },
        (2, 6, 6, 3),
        (2, 6, 6, 10),
        6,
        id="inception-split",
    ),
    pytest.param(
        layers.InceptionResidual,
        {
            "branches": [
                [{"kind": "conv", "filters": 2, "kernel_size": 1}],
                [{"kind": "conv", "filters": 3, "kernel_size": 3}],
            ],
            "filters": 3,
            "scale": 0.2,
        },
        (2, 6, 6, 3),
        (2, 6, 6, 3),
        8,
        id="inception-residual",
    ),
    pytest.param(
        layers.InceptionResidual,
        {
            "branches": [[{"kind": "conv", "filters": 2, "kernel_size": 3}]],
            "filters": 3,
            "output_activation": None,
        },
        (2, 6, 6, 3),
        (2, 6, 6, 3),
        5,
        id="inception-residual-linear",
    ),
    pytest.param(
        layers.XceptionBlock,
        {"filters": [4, 5], "strides": 2, "shortcut": "projection", "first_activation": False},
        (2, 7, 7, 3),
        (2, 4, 4, 5),
        11,
        id="xception-entry",
    ),
    pytest.param(layers.XceptionBlock, {"filters": [3, 3, 3]}, (2, 6, 6, 3), (2, 6, 6, 3), 12, id="xception-middle"),
    pytest.param(
        layers.InvertedResidual,
        {"filters": 3, "expanded_filters": 5, "shortcut": True, "stochastic_depth": 0.2},
        (2, 6, 6, 3),
        (2, 6, 6, 3),
        9,
        id="inverted-residual",
    ),
    pytest.param(
        layers.InvertedResidual,
        {"filters": 4, "strides": 2, "squeeze_filters": 2, "gate": "hard_sigmoid", "activation": "hard_swish"},
        (2, 7, 6, 3),
        (2, 4, 3, 4),
        10,
        id="inverted-residual-without-expansion",
    ),
    pytest.param(
        layers.InvertedResidual,
        {"filters": 4, "expanded_filters": 5, "kernel_size": 5, "squeeze_filters": 2, "squeeze_activation": "swish"},
        (2, 6, 6, 3),
        (2, 6, 6, 4),
        13,
        id="inverted-residual-squeeze-excite",
    ),
    pytest.param(
        layers.FireModule,
        {"squeeze_filters": 2, "expand1x1_filters": 3, "expand3x3_filters": 4},
        (2, 6, 6, 3),
        (2, 6, 6, 7),
        6,
        id="fire",
    ),
    pytest.param(
        layers.FireModule,
        {"squeeze_filters": 2, "expand1x1_filters": 3, "expand3x3_filters": 4, "norm": "batch"},
        (2, 6, 6, 3),
        (2, 6, 6, 7),
        9,
        id="fire-norm",
    ),
    pytest.param(
        layers.ClassificationHead, {"classes": 4, "labels": list("abcd")}, (2, 5, 5, 3), (2, 4), 2, id="head-of-map"
    ),
    pytest.param(layers.ClassificationHead, {"classes": 4, "dropout": 0.5}, (2, 3), (2, 4), 2, id="head-of-vector"),
    pytest.param(
        layers.ClassificationHead, {"classes": 4, "score_map": True}, (2, 5, 5, 3), (2, 4), 2, id="head-score-map"
    ),
    pytest.param(layers.MultiLabelHead, {"classes": 4, "labels": list("abcd")}, (2, 5, 5, 3), (2, 4), 2, id="multi"),
    pytest.param(layers.RegressionHead, {"classes": 4}, (2, 5, 5, 3), (2, 4), 2, id="regression"),
    pytest.param(layers.EmbeddingHead, {}, (2, 5, 5, 3), (2, 3), 0, id="embedding"),
    pytest.param(
        layers.SegmentationHead,
        {"classes": 4, "labels": list("abcd"), "strides": 2, "crop": (1, 0)},
        (2, 5, 5, 3),
        (2, 9, 10, 4),
        2,
        id="segmentation",
    ),
]


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_keras_layer_test(layer_class, arguments, input_shape, output_shape, trainable):
    testing.TestCase().run_layer_test(
        layer_class,
        arguments,
        input_shape=input_shape,
        expected_output_shape=output_shape,
        expected_num_trainable_weights=trainable,
        # A head's answers stay float32 whatever the policy, which Keras' check of dtypes does not expect.
        run_mixed_precision_check=not issubclass(layer_class, layers.Head),
        # Keras' check trains from a generator, out of which TensorFlow takes no list of inputs.
        run_training_check=not isinstance(input_shape, list),
        supports_masking=None,
    )


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_config_rebuilds_the_layer_with_every_argument(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments)
    config = layer.get_config()
    assert arguments.keys() <= config.keys()
    assert layer_class.from_config(config).get_config() == config


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_parts_are_named_after_their_layer(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments, name="stage3_block2")
    parts = list(layer._flatten_layers(include_self=False))
    assert all(part.name.startswith("stage3_block2_") for part in parts)
    assert len({part.name for part in parts}) == len(parts)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_layer_computes_in_the_precision_of_its_policy(
    layer_class, arguments, input_shape, output_shape, trainable, policy
):
    layer = layer_class(**arguments, dtype=policy)
    if isinstance(input_shape, list):
        images = [np.ones(shape, "float32") for shape in input_shape]
    else:
        images = np.ones(input_shape, "float32")
    output = layer(images)
    expected = "float32" if issubclass(layer_class, layers.Head) else policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(output.dtype) == expected
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))).all()
    assert all(weight.dtype == "float32" for weight in layer.weights if "seed_generator" not in weight.path)


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_every_weight_is_in_the_saved_file(layer_class, arguments, input_shape, output_shape, trainable, tmp_path):
    def make() -> keras.Model:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        inputs = [keras.Input(shape[1:]) for shape in shapes]
        return keras.Model(inputs, layer_class(**arguments)(inputs if isinstance(input_shape, list) else inputs[0]))

    saved, loaded = make(), make()
    saved.set_weights([np.random.default_rng(0).uniform(size=weight.shape) for weight in saved.get_weights()])
    saved.save_weights(tmp_path / "layer.weights.h5")
    loaded.load_weights(tmp_path / "layer.weights.h5")
    for weight, expected in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_every_public_layer_has_a_case():
    bases = {layers.CompositeLayer, layers.ChainLayer, layers.Head}
    public = {getattr(layers, name) for name in layers.__all__} - bases
    assert public == {case.values[0] for case in CASES}
