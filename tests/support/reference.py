"""Formulas in NumPy, by their definition, that the layers' numbers are held against."""

import keras
import numpy as np


def pad(x: np.ndarray, size: int, strides: int, padding: str | int, value: float = 0.0) -> np.ndarray:
    """A map with what stands around it for a window of `size` places: nothing, zeros on each side, or "same"."""
    if padding == "valid":
        return x
    if padding == "same":
        outputs = [-(-side // strides) for side in x.shape[1:3]]
        total = [max((out - 1) * strides + size - side, 0) for out, side in zip(outputs, x.shape[1:3], strict=True)]
        border = [(t // 2, t - t // 2) for t in total]
    else:
        border = [(padding, padding)] * 2
    return np.pad(x, [(0, 0), *border, (0, 0)], constant_values=value)


def windows(x: np.ndarray, size: int, strides: int = 1, dilation: int = 1) -> np.ndarray:
    """Every window of a padded map: `(batch, height', width', size, size, channels)`."""
    reach = dilation * (size - 1) + 1
    rows = [
        [x[:, i : i + reach : dilation, j : j + reach : dilation] for j in range(0, x.shape[2] - reach + 1, strides)]
        for i in range(0, x.shape[1] - reach + 1, strides)
    ]
    return np.array(rows).transpose(2, 0, 1, 3, 4, 5)


def convolve(
    x: np.ndarray,
    kernel: np.ndarray,
    strides: int = 1,
    *,
    padding: str | int = "same",
    dilation: int = 1,
    groups: int = 1,
) -> np.ndarray:
    """A convolution by its definition: y[i, j] = sum over the window of x * kernel, group by group."""
    size = kernel.shape[0]
    seen = windows(pad(x, dilation * (size - 1) + 1, strides, padding), size, strides, dilation)
    parts = zip(np.split(seen, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
    return np.concatenate([np.tensordot(part, weights, 3) for part, weights in parts], axis=-1)


def depthwise(x: np.ndarray, kernel: np.ndarray, strides: int = 1, *, padding: str | int = "same") -> np.ndarray:
    """Every channel with a kernel of its own, `(size, size, channels, 1)`."""
    seen = windows(pad(x, kernel.shape[0], strides, padding), kernel.shape[0], strides)
    return np.einsum("nhwijc,ijc->nhwc", seen, kernel[..., 0])


def max_pool(x: np.ndarray, size: int, strides: int = 1, *, padding: str | int = "valid") -> np.ndarray:
    """The greatest of every window; what stands around the map never is."""
    return windows(pad(x, size, strides, padding, value=-np.inf), size, strides).max(axis=(3, 4))


def normalize(x: np.ndarray, layer: keras.layers.BatchNormalization) -> np.ndarray:
    """What BatchNorm does at inference."""
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    gamma = 1 if layer.gamma is None else layer.gamma.numpy()
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + layer.beta.numpy()


def conv_norm(x: np.ndarray, unit: keras.layers.Layer, activation=lambda x: np.maximum(x, 0)) -> np.ndarray:
    """What a `ConvNormAct` with BatchNorm and no bias does at inference."""
    arguments = {"padding": unit.padding, "dilation": unit.dilation_rate, "groups": unit.groups}
    return activation(normalize(convolve(x, unit.conv.kernel.numpy(), unit.strides, **arguments), unit.normalization))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def randomized(layer: keras.layers.Layer, x: np.ndarray) -> keras.layers.Layer:
    """The layer built for `x`, with every weight and statistic drawn from 0.2..1."""
    layer.build(x.shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.2, 1.0, weight.shape) for weight in layer.get_weights()])
    return layer
