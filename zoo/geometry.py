"""Output size of convolution and pooling, and receptive fields."""

from collections.abc import Iterable

from ..core.arguments import check_arguments
from ..core.errors import InputError


@check_arguments
def conv_output_size(
    size: int, kernel_size: int, *, strides: int = 1, padding: str | int = "valid", dilation_rate: int = 1
) -> int:
    """Return the output size of a convolution or pooling along one axis of `size` pixels.

    `floor((size + 2 * padding - dilation_rate * (kernel_size - 1) - 1) / strides) + 1`, or `ceil(size / strides)` for
    `padding="same"`: Dumoulin, Visin: A guide to convolution arithmetic (arXiv:1603.07285), relationship 6.

    Args:
        size: Input size along the axis, 1 or more.
        kernel_size: Size of the window.
        strides: Step of the window.
        padding: `"valid"` (none), `"same"`, or the zero padding on each side.
        dilation_rate: Step between the elements of the window.

    Raises:
        InputError: The window is larger than the padded input, or an argument is invalid.
    """
    for name, value in {
        "size": size,
        "kernel_size": kernel_size,
        "strides": strides,
        "dilation_rate": dilation_rate,
    }.items():
        if value < 1:
            raise InputError(f"{name} is {value}; it must be 1 or more.")
    if padding == "same":
        return -(-size // strides)
    if padding != "valid" and (not isinstance(padding, int) or padding < 0):
        raise InputError(f"padding is {padding!r}; allowed are 'valid', 'same' and an integer of 0 or more.")
    zeros = padding if isinstance(padding, int) else 0
    reach = dilation_rate * (kernel_size - 1) + 1
    if size + 2 * zeros < reach:
        raise InputError(
            f"a window of {reach} pixels does not fit into {size} with {zeros} pixels of padding on each side."
        )
    return (size + 2 * zeros - reach) // strides + 1


@check_arguments
def receptive_field(windows: Iterable[tuple[int, ...]]) -> int:
    """Return the receptive field of one output pixel of a chain of convolutions and poolings, its side in image pixels.

    `1 + sum((k_l - 1) * d_l * product of the strides before l)`: Araujo, Norris, Sim: Computing Receptive Fields of
    Convolutional Neural Networks (Distill 2019), equation 2.

    Args:
        windows: `(kernel_size, strides)` or `(kernel_size, strides, dilation_rate)` of each layer from the image on.

    Raises:
        InputError: A window does not have two or three integers of 1 or more.
    """
    field, step = 1, 1
    for window in windows:
        if len(window) not in (2, 3) or min(window) < 1:
            raise InputError(f"window {window} is not (kernel_size, strides[, dilation_rate]), each 1 or more.")
        kernel_size, strides, *dilation = window
        field += (kernel_size - 1) * (dilation[0] if dilation else 1) * step
        step *= strides
    return field
