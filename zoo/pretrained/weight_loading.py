"""Strict loading of weights into models: every tensor must match, or an error lists both sides."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from ...core.errors import InputError
from ...core.keras_private import without_values
from ..cards import ModelCard
from ..registry import ON, card_of
from ..saving import load_model
from . import torch_layout
from .download import forget
from .layouts import abbreviate
from .native_format import Description, HeadFacts, heads_of, read_description
from .tensor_files import Tensors, checked, read_tensors
from .weight_conversion import convert
from .weight_sources import Weights, find_weights
from .weighted_layers import named_weights, weighted_layers

log = logging.getLogger("pocketzoo")


@dataclass(frozen=True)
class Loaded:
    """Weights converted to the zoo's names, with their source."""

    source: Weights
    tensors: Tensors
    """Values by `layer/variable`."""
    description: Description | None = None
    """Description of the model in a file that this package wrote."""

    def reusable_heads(self, model: keras.Model) -> set[str]:
        """Return the names of the heads of `model` that can use the file's weights."""
        source, in_file = self.source, {} if self.description is None else self.description.heads
        if self.description is None and source.task is not None:
            in_file = {"head": HeadFacts(task=source.task, classes=source.classes, labels=source.labels)}
        return {name for name, head in heads_of(model).items() if name in in_file and in_file[name].is_kept_as(head)}

    @property
    def channels(self) -> int:
        """Number of channels of the training images."""
        return len(self.tensors["pixels/mean"])

    @property
    def normalizes_channels_equally(self) -> bool:
        """Whether the normalization is the same for all channels."""
        return all(len(np.unique(self.tensors[f"pixels/{name}"])) == 1 for name in ("mean", "scale"))


def load_pretrained(cards: Sequence[ModelCard], weights: str | Path, build: Callable[[Weights], keras.Model]) -> Loaded:
    """Read `weights` and convert them to the zoo's names.

    Args:
        cards: The model's card, followed by that of its backbone if it has one.
        weights: As in `create_model`, but not a `.weights.h5` file.
        build: Builds the model that the weights belong to; only names, shapes and arguments of its layers are read.

    Raises:
        InputError: The weights cannot be found or read, or belong to another architecture: both sides are listed.
    """
    candidates = find_weights(cards, weights)
    try:
        return _load(cards, candidates, build)
    except InputError as error:
        if not forget(candidates[0].path):
            raise
        raise InputError(
            f"{error} This file, of which no hash is published, and the record of its first use were removed from the "
            "cache: the next use downloads it again."
        ) from error


def _load(cards: Sequence[ModelCard], candidates: list[Weights], build: Callable[[Weights], keras.Model]) -> Loaded:
    """Read and convert the file of the `candidates`, all of which have the same."""
    path = candidates[0].path
    if path.suffix == ".keras":
        model = load_model(path)
        tensors = {name: keras.ops.convert_to_numpy(weight) for name, weight in named_weights(model).items()}
        tensors = {name: checked(path, name, tensor) for name, tensor in tensors.items()}
        return _native(cards, candidates[0], tensors, Description.of(model))
    tensors = read_tensors(path)
    if candidates[0].layout == "pocketzoo" and all("/" in name for name in tensors):
        return _native(cards, candidates[0], tensors, read_description(path))
    published = _without_equivalents([source for source in candidates if source.layout != "pocketzoo"])
    published = [_with_classes_of(tensors, source) for source in published]
    matches, problems = [], []
    for source in published:
        try:
            with without_values():
                model = build(source)
            matches.append(Loaded(source, _converted(source, tensors, model)))
        except InputError as error:
            problems.append(f"as {source.name} of layout {source.layout}: {error}")
    if not matches:
        raise InputError(f"{path} does not contain the weights of {candidates[0].card.name}; {' '.join(problems)}")
    if len(matches) > 1:
        names = ", ".join(loaded.source.name for loaded in matches)
        raise InputError(
            f"{path} matches {len(matches)} tags with different preprocessing or arguments, {names}; specify one: "
            f"weights='TAG={path}'."
        )
    return matches[0]


def _with_classes_of(tensors: Tensors, source: Weights) -> Weights:
    """Return `source` with the number of classes in a state dict, which may have been trained for other classes."""
    classes = None if source.layout == "keras" else torch_layout.classes_in(tensors, source.layout, source.card)
    return source if classes in (None, source.classes) else replace(source, classes=classes, labels=None)


def _native(cards: Sequence[ModelCard], source: Weights, tensors: Tensors, description: Description | None) -> Loaded:
    """Return tensors that already have the zoo's names; without a description the head's kernel gives its classes."""
    for name in ("pixels/mean", "pixels/scale"):
        if name not in tensors:
            raise InputError(f"{source.path} does not contain a model of the zoo: {name} is missing.")
        if tensors[name].ndim != 1 or tensors[name].shape != tensors["pixels/mean"].shape or not tensors[name].size:
            raise InputError(f"{source.path}: the shape of {name} is {tensors[name].shape}; it must be (channels,).")
    if description is None:
        names = ("head_dense/kernel", "head_scores/kernel", "head_map1_scores/kernel")
        kernel = next((tensors[name] for name in names if name in tensors), None)
        classes = None if kernel is None or not kernel.size or not kernel.ndim else kernel.shape[-1]
        return Loaded(replace(source, task=source.card.task, classes=source.classes or classes), tensors)
    by_name = {card.name: card for card in cards}
    name = description.model.partition(ON)[0]
    if name not in by_name:
        raise InputError(f"{source.path} contains the weights of {description.model}, not of {' or '.join(by_name)}.")
    heads = list(description.heads.values())
    head = dict(heads[0]) if len(heads) == 1 else {"task": None, "classes": None, "labels": None}
    return Loaded(replace(source, card=by_name[name], **head), tensors, description)


def _without_equivalents(sources: Sequence[Weights]) -> list[Weights]:
    """Return one source for each combination of layout, preprocessing and arguments."""
    distinct: dict[tuple[object, ...], Weights] = {}
    for source in sources:
        key = (source.card.name, source.layout, source.pixels, source.epsilon, str(source.arguments))
        distinct.setdefault(key, source)
    return list(distinct.values())


def _converted(source: Weights, tensors: Tensors, model: keras.Model) -> Tensors:
    return convert(tensors, source.layout, source.card, model, pixels=source.pixels, epsilon=source.epsilon)


def fill(model: keras.Model, loaded: Loaded, *, trunk: set[str]) -> None:
    """Assign the loaded weights to `model`.

    If the number of input channels differs, the first kernel is adapted. For grayscale images it is summed over the
    channels, which is equivalent if all channels have the same normalization (`create_model` ensures that). For more
    than 3 channels the kernel is repeated and scaled by 3 / channels, so that the sum is preserved.

    Args:
        model: The model to load into.
        loaded: Weights of the same architecture, or of its backbone, with any head.
        trunk: The layers of `model` up to the last feature map. Dense layers after it keep their initialization if
            their shapes differ, since they depend on the image size; so do heads and decoders that the file does not
            contain. The log lists these layers.

    Raises:
        InputError: A weight of the model is not in the file or has another shape there, a tensor in the file is not in
            the model, or the arguments of a layer differ.
    """
    weights = named_weights(model)
    tensors = _with_channels(loaded, model)
    of_backbone = loaded.source.card.name != card_of(model.name).name
    reused_heads = set() if of_backbone else loaded.reusable_heads(model)
    initialized: list[str] = []
    mismatches: list[str] = []
    for name, weight in weights.items():
        top, tensor = weight.path.partition("/")[0], tensors.get(name)
        replaced = (of_backbone and top not in trunk) or (_is_head(name) and top not in reused_heads)
        if not replaced and tensor is not None and tensor.shape == tuple(weight.shape):
            weight.assign(tensor)
        elif replaced or (tensor is not None and top not in trunk and not _is_head(name)):
            initialized.append(top)
        else:
            shape = "missing" if tensor is None else tensor.shape
            mismatches.append(f"{name} is {shape} in the file and {tuple(weight.shape)} in the model")
    unused = [name for name in tensors if name not in weights and not of_backbone]
    extra = [name for name in unused if not _is_head(name) or _head(name) in reused_heads]
    if loaded.description:
        of_model = Description.of(model)
        mismatches += loaded.description.differences(of_model, trunk if of_backbone else set(of_model.layers))
    if mismatches or extra:
        raise InputError(
            f"{loaded.source.name} does not contain the weights of {model.name}: mismatches {abbreviate(mismatches)}; "
            f"only in the file {abbreviate(extra)}."
        )
    if initialized:
        layers = ", ".join(dict.fromkeys(initialized))
        log.warning("%s: randomly initialized, not from %s: layers %s", model.name, loaded.source.name, layers)


def _is_head(name: str) -> bool:
    return name.startswith("head_")


def _head(name: str) -> str:
    """Return the name of the head of a weight such as `head_dense/kernel` or `head_kind_dense/kernel`."""
    return name.partition("/")[0].rpartition("_")[0]


def _with_channels(loaded: Loaded, model: keras.Model) -> Tensors:
    """Return the tensors, with the first kernel adapted to the number of input channels of `model`."""
    channels = named_weights(model)["pixels/mean"].shape[0]
    if channels == loaded.channels:
        return loaded.tensors
    first = f"{next(iter(weighted_layers(model)))}/kernel"
    if first not in loaded.tensors:
        return loaded.tensors  # another architecture; the caller reports it
    kernel = loaded.tensors[first]
    if kernel.ndim != 4 or kernel.shape[2] != loaded.channels:
        return loaded.tensors  # another shape; the caller reports it
    order = np.arange(channels) % loaded.channels
    if channels == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    else:
        kernel = kernel[:, :, order] * np.float32(loaded.channels / channels)
    adapted = {f"pixels/{name}": loaded.tensors[f"pixels/{name}"][order] for name in ("mean", "scale")}
    return loaded.tensors | adapted | {first: kernel}
