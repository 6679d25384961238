"""What each layer of a model costs and sees, read from its flat form."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras

from ..core.errors import InputError
from .flat import flatten_model

_Window = tuple[int, int, int]
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_LOCAL = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D, *_POOLINGS)
_WHOLE_IMAGE = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)


@dataclass(frozen=True)
class LayerRow:
    """One layer of a flat model, where it is applied."""

    name: str
    kind: str
    """Class of the Keras layer, or of the operation."""
    output_shape: tuple[int | None, ...]
    """Without the batch axis."""
    kernel_size: tuple[int, ...] | None
    strides: int | None
    padding: str | None
    dilation_rate: int | None
    groups: int | None
    parameters: int
    """Of all kinds; 0 where the layer is applied again."""
    multiply_adds: int
    receptive_field: int | None
    """Side in image pixels of what one place sees; None for the whole image."""

    @property
    def stage(self) -> str:
        """Where it stands: its name up to the first underscore."""
        return self.name.split("_")[0]


def layer_table(model: keras.Model) -> list[LayerRow]:
    """The layers of `model`'s flat form, each after those that feed it.

    Raises:
        InputError: The model leaves height or width open, or has no flat form.
    """
    for tensor in getattr(model, "inputs", None) or []:
        if None in tensor.shape[1:]:
            raise InputError(
                f"{model.name} takes {tensor.shape[1:]}: multiply-adds can be counted for a fixed size only."
            )
    return list(_Walk(model).rows)


def count_macs(model: keras.Model) -> int:
    """Multiply-adds of one image: what its convolutions (plain, grouped, depthwise, transposed) and dense layers take.

    One multiplication and the addition of its product count as one. Biases, normalisations, activations, poolings and
    element-wise operations are left out, as in the papers' figures.

    Raises:
        InputError: The model leaves height or width open, has no flat form, or has layers with kernels of other kinds.
    """
    return sum(row.multiply_adds for row in layer_table(model))


def stage_totals(rows: Iterable[LayerRow]) -> dict[str, tuple[int, int]]:
    """Parameters and multiply-adds by stage, in order."""
    totals: dict[str, tuple[int, int]] = {}
    for row in rows:
        parameters, macs = totals.get(row.stage, (0, 0))
        totals[row.stage] = (parameters + row.parameters, macs + row.multiply_adds)
    return totals


class _Walk:
    """Applies every layer of a flat model once more, on symbolic tensors, and notes what goes in and out."""

    def __init__(self, model: keras.Model):
        self.rows: list[LayerRow] = []
        self.counted: set[int] = set()
        self.seen: dict[int, tuple[int, float] | None] = {}
        """Receptive field and step of each tensor, by identity; None where it sees the whole image."""
        self.tensors: list[keras.KerasTensor] = []  # kept alive, so that identities stay theirs
        keras.models.clone_model(flatten_model(model), clone_function=lambda part: part, call_function=self._apply)

    def _apply(self, layer: keras.layers.Layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        inputs = list(_tensors((args, kwargs)))
        view = self._view(layer, inputs)
        for tensor in _tensors(output):
            self.seen[id(tensor)] = view
        self.tensors += [*inputs, *_tensors(output)]
        self._note(layer, inputs, output, view)
        return output

    def _view(self, layer, inputs) -> tuple[int, float] | None:
        views = [self.seen.get(id(tensor), (1, 1.0)) for tensor in inputs]
        if isinstance(layer, _WHOLE_IMAGE) or None in views or not views:
            return None
        field, step = max(view[0] for view in views), max(view[1] for view in views)
        if isinstance(layer, keras.layers.Conv2DTranspose):
            taps = math.ceil(max(layer.kernel_size) / max(layer.strides))
            return round(field + (taps - 1) * step), step / max(layer.strides)
        if isinstance(layer, keras.layers.UpSampling2D):
            taps = 1 if layer.interpolation == "nearest" else 2
            return round(field + (taps - 1) * step), step / max(layer.size)
        if isinstance(layer, _LOCAL):
            kernel_size, strides, dilation = _window(layer)
            return round(field + (kernel_size - 1) * dilation * step), step * strides
        return field, step

    def _note(self, layer, inputs, output, view) -> None:
        # An operation, such as a mean over the channels, has no weights and not every attribute of a layer.
        weights = getattr(layer, "weights", []) if id(layer) not in self.counted else []
        self.counted.add(id(layer))
        local = isinstance(layer, (*_LOCAL, keras.layers.Conv2DTranspose))
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        first = next(_tensors(output))
        row = LayerRow(
            name=layer.name,
            kind=type(layer).__name__,
            output_shape=tuple(first.shape[1:]),
            kernel_size=tuple(kernel) if local else None,
            strides=layer.strides[0] if local else None,
            padding=layer.padding if local else None,
            dilation_rate=_window(layer)[2] if local else None,
            groups=_groups(layer, inputs),
            parameters=sum(math.prod(weight.shape) for weight in weights if not _is_seed(weight)),
            multiply_adds=_multiply_adds(layer, inputs, first),
            receptive_field=None if view is None else view[0],
        )
        self.rows.append(row)


def _window(layer) -> _Window:
    kernel = getattr(layer, "kernel_size", None) or layer.pool_size
    dilation = getattr(layer, "dilation_rate", (1,))
    return max(kernel), layer.strides[0], max(dilation) if isinstance(dilation, tuple) else dilation


def _groups(layer, inputs) -> int | None:
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return inputs[0].shape[-1]
    return layer.groups if isinstance(layer, keras.layers.Conv2D) else None


def _multiply_adds(layer, inputs, output) -> int:
    """Places times what each of them takes: the taps of the kernel that reach it, once for every output channel."""
    if isinstance(layer, keras.layers.Conv2DTranspose):  # every input place is spread over the whole kernel
        return math.prod(inputs[0].shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        # A grouped kernel already has but its group's input channels, a depthwise one none besides its own.
        return math.prod(output.shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        return math.prod(output.shape[1:-1]) * sum(math.prod(shape) for shape in kernels)
    matrices = [weight for weight in getattr(layer, "weights", []) if len(weight.shape) > 1 and not _is_seed(weight)]
    if matrices and not isinstance(layer, keras.layers.PReLU):
        kind = type(layer).__name__
        raise InputError(
            f"layer {layer.name} ({kind}) cannot be counted; counted are 2-D convolutions and dense layers."
        )
    return 0


def _is_seed(weight) -> bool:
    return "seed_generator" in weight.path


def _tensors(nested) -> Iterator[keras.KerasTensor]:
    yield from (leaf for leaf in keras.tree.flatten(nested) if isinstance(leaf, keras.KerasTensor))
