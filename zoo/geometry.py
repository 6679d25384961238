"""What a window that slides over a map does to its size, and how much of the image one place sees."""

from collections.abc import Iterable


def conv_output_size(
    size: int, kernel_size: int, *, strides: int = 1, padding: str | int = "valid", dilation_rate: int = 1
) -> int:
    """Places that a convolution or a pooling gives along one axis of `size` places.

    `floor((size + 2 * padding - dilation_rate * (kernel_size - 1) - 1) / strides) + 1`, or `ceil(size / strides)` for
    `padding="same"`: Dumoulin, Visin: A guide to convolution arithmetic (arXiv:1603.07285), relationship 6.

    Args:
        size: Places of the input, 1 or more.
        kernel_size: Taps of the window.
        strides: Step of the window.
        padding: `"valid"` (none), `"same"`, or the number of zeros on each side.
        dilation_rate: Step between the taps.

    Raises:
        ValueError: The window does not fit in once, or an argument cannot be.
    """
    for name, value in {
        "size": size,
        "kernel_size": kernel_size,
        "strides": strides,
        "dilation_rate": dilation_rate,
    }.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it takes 1 or more.")
    if padding == "same":
        return -(-size // strides)
    if padding != "valid" and (not isinstance(padding, int) or padding < 0):
        raise ValueError(f"padding is {padding!r}; allowed are 'valid', 'same' and a number of zeros.")
    zeros = 0 if padding == "valid" else padding
    reach = dilation_rate * (kernel_size - 1) + 1
    if size + 2 * zeros < reach:
        raise ValueError(f"a window over {reach} places does not fit into {size} with {zeros} zeros on each side.")
    return (size + 2 * zeros - reach) // strides + 1


def receptive_field(windows: Iterable[tuple[int, ...]]) -> int:
    """Side, in image pixels, of what one place sees after convolutions and poolings that follow one another.

    `1 + sum((k_l - 1) * d_l * product of the strides before l)`: Araujo, Norris, Sim: Computing Receptive Fields of
    Convolutional Neural Networks (Distill 2019), equation 2.

    Args:
        windows: For each layer from the image on `(kernel_size, strides)` or `(kernel_size, strides, dilation_rate)`.

    Raises:
        ValueError: A window has not two or three numbers, or one below 1.
    """
    field, step = 1, 1
    for window in windows:
        if len(window) not in (2, 3) or min(window) < 1:
            raise ValueError(f"window {window} is not (kernel_size, strides[, dilation_rate]), each 1 or more.")
        kernel_size, strides, *dilation = window
        field += (kernel_size - 1) * (dilation[0] if dilation else 1) * step
        step *= strides
    return field
