"""The formats of its targets that a model can be exported to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import InputError
from .artifact.metadata import Metadata
from .artifact.tensors import RAW
from .formats import Format
from .sample_images import Samples
from .targets import formats_of, integer_formats, targets_with

if TYPE_CHECKING:
    from .conversion.export_graph import ExportGraph


def select_formats(
    formats: Sequence[Format], targets: Sequence[str], graph: "ExportGraph", calibration: Samples | None
) -> tuple[list[Format], dict[str, str]]:
    """The formats that can be exported, and the reasons why others cannot, by name.

    Raises:
        InputError: A target has no format that can be exported.
    """
    if graph.activation_bits is not None:
        selected = integer_formats(formats, graph.activation_bits)
        reason = f"the model was trained for integers with {graph.activation_bits}-bit activations"
        return selected, {fmt.name: reason for fmt in formats if fmt not in selected}
    if calibration is not None:
        whole = [name for name, form in graph.metadata.input_forms.items() if not form.dtype.startswith("float")]
        selected = [fmt for fmt in formats if not whole or fmt.activation_bits != 16]
        reason = f"16-bit activations cannot be calibrated where an input takes whole numbers, as {', '.join(whole)}"
    else:
        selected = [fmt for fmt in formats if not fmt.quantized]
        reason = "it takes calibration: training images, which determine activation ranges (calibration, or --data)"
    served = {target for fmt in selected for target in targets_with(fmt, targets)}
    for target in targets:
        if target not in served:
            raise InputError(f"target {target} has nothing but {formats_of([target])[0].name}, and {reason}.")
    return selected, {fmt.name: reason for fmt in formats if fmt not in selected}


def check_pixel_ranges(formats: Sequence[Format], metadata: Metadata) -> None:
    """Raise InputError where bytes cannot be the pixels of an image, since no byte would represent 0."""
    names = [fmt.name for fmt in formats if fmt.activation_bits == 8]
    for form in metadata.input_forms.values() if names else ():
        low, high = form.pixel_range or RAW
        if not -0.5 <= -low / (high - low) * 255 <= 255.5:
            raise InputError(
                f"pixels go from {low:g} to {high:g}, but the integers of {', '.join(names)} must represent 0; choose "
                "targets without 8-bit formats, or begin the model with a Rescaling of 0..255."
            )
