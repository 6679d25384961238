"""Every public layer in its forms: class, arguments, shapes of input and output, number of trainable weights."""

import pytest

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
    pytest.param(
        layers.ZeroPaddedAveragePool2D,
        {"pool_size": 3, "strides": 2, "padding": 1},
        (2, 7, 6, 3),
        (2, 4, 3, 3),
        0,
        id="zero-padded-average-pool",
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
        layers.InvertedResidual,
        {"filters": 4, "kernel_size": 5, "strides": 2, "padding": "symmetric"},
        (2, 7, 6, 3),
        (2, 4, 3, 4),
        6,
        id="inverted-residual-symmetric",
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
    pytest.param(layers.EmbeddingHead, {"units": 4, "normalize": True}, (2, 5, 5, 3), (2, 4), 2, id="unit-embedding"),
    pytest.param(
        layers.SegmentationHead,
        {"classes": 4, "labels": list("abcd"), "strides": 2, "crop": (1, 0)},
        (2, 5, 5, 3),
        (2, 9, 10, 4),
        2,
        id="segmentation",
    ),
    pytest.param(layers.ImageHead, {"channels": 3, "image_channels": 3}, (2, 5, 6, 8), (2, 5, 6, 3), 2, id="picture"),
    pytest.param(
        layers.ImageHead,
        {"channels": 2, "scale": 3, "value_range": (0.0, 1.0), "image_channels": 1},
        (2, 5, 6, 4),
        (2, 15, 18, 2),
        2,
        id="larger-picture",
    ),
    pytest.param(
        layers.DetectionHead, {"classes": 3, "labels": list("abc")}, (2, 5, 6, 3), (2, 30, 7), 4, id="detection"
    ),
    pytest.param(
        layers.DetectionHead,
        {"classes": 3, "maps": 2},
        [(2, 3, 3, 5), (2, 5, 6, 4)],
        (2, 39, 7),
        8,
        id="detection-of-a-pyramid",
    ),
    pytest.param(layers.PeakScores, {}, (2, 5, 6, 3), (2, 5, 6, 3), 0, id="peaks"),
    pytest.param(layers.BoxesAround, {}, (2, 5, 6, 4), (2, 5, 6, 4), 0, id="boxes-around"),
    pytest.param(
        layers.DensityHead, {"classes": 3, "labels": list("abc")}, (2, 5, 6, 3), (2, 5, 6, 3), 2, id="density"
    ),
    pytest.param(
        layers.KeypointHead, {"classes": 4, "labels": list("abcd")}, (2, 5, 6, 3), (2, 4, 3), 2, id="keypoints"
    ),
    pytest.param(
        layers.SequenceHead, {"classes": 4, "labels": list("abcd")}, (2, 3, 5, 8), (2, 5, 4), 2, id="sequence"
    ),
    pytest.param(layers.FakeQuantize, {"bits": 16, "momentum": 0.9}, (2, 6, 6, 3), (2, 6, 6, 3), 0, id="grid"),
    pytest.param(layers.FakeQuantize, {"limits": [0.0, 1.0]}, (2, 4), (2, 4), 0, id="grid-fixed"),
    pytest.param(
        layers.QuantizedConv2D, {"filters": 4, "kernel_size": 3}, (2, 6, 6, 3), (2, 4, 4, 4), 2, id="int8-conv"
    ),
    pytest.param(
        layers.QuantizedConv2DTranspose,
        {"filters": 4, "kernel_size": 2, "strides": 2},
        (2, 3, 3, 2),
        (2, 6, 6, 4),
        2,
        id="int8-transpose",
    ),
    pytest.param(
        layers.QuantizedDepthwiseConv2D, {"kernel_size": 3}, (2, 6, 6, 3), (2, 4, 4, 3), 2, id="int8-depthwise"
    ),
    pytest.param(layers.QuantizedDense, {"units": 4}, (2, 3), (2, 4), 2, id="int8-dense"),
    pytest.param(
        layers.Answer,
        {"task": "classification", "activation": "softmax", "labels": ["a", "b"]},
        (2, 2),
        (2, 2),
        0,
        id="answer",
    ),
    pytest.param(
        layers.ConvNormAct,
        {"filters": 4, "kernel_size": (7, 1), "strides": 2, "padding": 3, "activation": "prelu", "dimensions": 1},
        (2, 9, 3),
        (2, 5, 4),
        4,
        id="conv-of-signals",
    ),
    pytest.param(
        layers.Bottleneck,
        {
            **{"filters": 6, "mid_filters": 2, "strides": 2, "shortcut": "pad", "pad_channels": (1, 2)},
            **{"attention": "cbam", "squeeze_filters": 2, "stochastic_depth": 0.2, "dimensions": 1},
        },
        (2, 8, 3),
        (2, 4, 6),
        16,
        id="bottleneck-of-signals",
    ),
    pytest.param(
        layers.UpBlock,
        {"filters": 4, "mid_filters": 5, "up": "resize", "up_filters": 3, "dimensions": 1},
        [(2, 4, 6), (2, 7, 2)],
        (2, 7, 4),
        9,
        id="up-of-signals",
    ),
    pytest.param(
        layers.ResidualBlock,
        {"filters": 6, "mid_filters": 5, "strides": 2, "shortcut": "projection", "padding": 1, "dimensions": 3},
        (2, 4, 6, 5, 3),
        (2, 2, 3, 3, 6),
        9,
        id="residual-of-volumes",
    ),
    pytest.param(
        layers.LogMelSpectrogram,
        {"sample_rate": 800, "mels": 3, "frame_length": 16, "frame_step": 5, "dimensions": 1},
        (2, 33, 1),
        (2, 4, 3),
        0,
        id="spectrogram",
    ),
    pytest.param(
        layers.SegmentationHead,
        {"classes": 4, "strides": 2, "crop": (1,), "dimensions": 1},
        (2, 5, 3),
        (2, 9, 4),
        2,
        id="segmentation-of-signals",
    ),
    pytest.param(
        layers.FeaturePyramid,
        {"pool_size": 3},
        [(2, 7, 6, 3), (2, 4, 3, 2)],
        (2, 7, 6, 5),
        0,
        id="feature-pyramid",
    ),
    pytest.param(layers.GaussianDistance, {"channels": 3}, (2, 4, 3, 5), (2, 4, 3, 1), 0, id="gaussian-distance"),
    pytest.param(
        layers.NeighborDistance, {"channels": 3, "memory": 6}, (2, 4, 3, 5), (2, 4, 3, 1), 0, id="neighbor-distance"
    ),
    pytest.param(
        layers.ReconstructionDistance,
        {"scale": 2.0, "pool_size": 3},
        [(2, 5, 6, 3), (2, 5, 6, 3)],
        (2, 5, 6, 1),
        0,
        id="reconstruction-distance",
    ),
    pytest.param(layers.AnomalyHead, {"strides": 2, "crop": (1, 0)}, (2, 4, 3, 1), (2, 7, 6, 1), 0, id="anomaly-head"),
]
