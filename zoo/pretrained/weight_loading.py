"""Weights into models: all of them and nothing else, or an error that lists both sides."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from ...core.errors import InputError
from ..cards import ModelCard
from ..registry import ON, card_of
from ..saving import load_model
from . import torch_layout
from .anatomy import anatomy, named_weights
from .layouts import some
from .native_format import Description, HeadFacts, heads_of, read_description
from .tensor_files import Tensors, checked, read_tensors
from .weight_conversion import convert
from .weight_sources import Weights, find_weights

log = logging.getLogger("pocketzoo")


@dataclass(frozen=True)
class Loaded:
    """Weights in our names, and what they are of."""

    source: Weights
    tensors: Tensors
    """By `layer/variable`."""
    description: Description | None = None
    """What a file of ours says of its net."""

    def heads_kept_in(self, model: keras.Model) -> set[str]:
        """The heads of `model`, by layer, that are those of the file."""
        facts = {"task": self.source.task, "classes": self.source.classes, "labels": self.source.labels}
        theirs = self.description.heads if self.description else {"head": HeadFacts(**facts)}
        return {name for name, head in heads_of(model).items() if name in theirs and theirs[name].is_kept_as(head)}

    @property
    def channels(self) -> int:
        """Of the images that the net was trained on."""
        return len(self.tensors["pixels/mean"])

    @property
    def treats_channels_alike(self) -> bool:
        """Whether the normalisation is the same for all channels."""
        return all(len(np.unique(self.tensors[f"pixels/{name}"])) == 1 for name in ("mean", "scale"))


def load_pretrained(cards: Sequence[ModelCard], weights: str | Path, build: Callable[[Weights], keras.Model]) -> Loaded:
    """Reads what `weights` names, and converts it to the weights of the net that it is of.

    Args:
        cards: The model's own, and after it that of its backbone if it has one.
        weights: As `create_model` takes it, but no `.weights.h5` file.
        build: Makes a fresh net of the very architecture that weights are of.

    Raises:
        InputError: It cannot be found or read, or is not of that architecture: both sides are listed.
    """
    found = find_weights(cards, weights)
    path = found[0].path
    if path.suffix == ".keras":
        model = load_model(path)
        tensors = {name: keras.ops.convert_to_numpy(weight) for name, weight in named_weights(model).items()}
        tensors = {name: checked(path, name, tensor) for name, tensor in tensors.items()}
        return _own(cards, found[0], tensors, Description.of(model))
    tensors = read_tensors(path)
    if found[0].layout == "pocketzoo" and all("/" in name for name in tensors):
        return _own(cards, found[0], tensors, read_description(path))
    foreign = _used_alike([source for source in found if source.layout != "pocketzoo"])
    foreign = [_of_as_many_classes(source, tensors) for source in foreign]
    fitting, problems = [], []
    for source in foreign:
        try:
            fitting.append(Loaded(source, _converted(source, tensors, build(source))))
        except InputError as error:
            problems.append(f"as {source.name} of layout {source.layout}: {error}")
    if not fitting:
        raise InputError(f"{path} does not hold the weights of {found[0].card.name}; {' '.join(problems)}")
    if len(fitting) > 1:
        names = ", ".join(loaded.source.name for loaded in fitting)
        raise InputError(
            f"{path} fits {len(fitting)} tags whose nets are fed differently, {names}; say which: weights='TAG={path}'."
        )
    return fitting[0]


def _of_as_many_classes(source: Weights, tensors: Tensors) -> Weights:
    """For a net of PyTorch's that somebody trained for other classes than the publisher did."""
    classes = None if source.layout == "keras" else torch_layout.classes_in(tensors, source.layout, source.card)
    return source if classes in (None, source.classes) else replace(source, classes=classes, labels=None)


def _own(cards: Sequence[ModelCard], source: Weights, tensors: Tensors, said: Description | None) -> Loaded:
    """Tensors in our names; what the file does not say of its head is read from the head's kernel."""
    if "pixels/mean" not in tensors:
        raise InputError(f"{source.path} holds no model of the zoo: pixels/mean is missing.")
    if said is None:
        kernel = next((tensors[name] for name in ("head_dense/kernel", "head_scores/kernel") if name in tensors), None)
        classes = None if kernel is None else kernel.shape[-1]
        return Loaded(replace(source, task=source.card.task, classes=source.classes or classes), tensors)
    names = {card.name: card for card in cards}
    name = said.model.partition(ON)[0]
    if name not in names:
        raise InputError(f"{source.path} holds the weights of {said.model}, not of {' or '.join(names)}.")
    heads = list(said.heads.values())
    facts = dict(heads[0]) if len(heads) == 1 else {"task": None, "classes": None, "labels": None}
    return Loaded(replace(source, card=names[name], **facts), tensors, said)


def _used_alike(sources: Sequence[Weights]) -> list[Weights]:
    """One of all that are of the same layout and whose nets are fed and built alike."""
    different = {}
    for source in sources:
        different.setdefault(
            (source.card.name, source.layout, source.pixels, source.epsilon, str(source.arguments)), source
        )
    return list(different.values())


def _converted(source: Weights, tensors: Tensors, model: keras.Model) -> Tensors:
    return convert(tensors, source.layout, source.card, model, pixels=source.pixels, epsilon=source.epsilon)


def fill(model: keras.Model, loaded: Loaded, *, trunk: set[str]) -> None:
    """Gives `model` the weights that were loaded.

    Another number of channels adapts the first kernel. For grey images it is summed over the channels, which answers as
    the whole net does where the normalisation treats all channels alike (`create_model` sees to that). For more bands
    the colours' kernels are taken over and over, 3 / bands times as strong, so that they add up to the same.

    Args:
        model: To be filled.
        loaded: Weights of the same net, or of its backbone, with whatever head.
        trunk: The layers of `model` up to the last map. Dense layers after it stay fresh, which is said in the log,
            where their shape is another, since they depend on the image's size; and so do heads and decoders that are
            not those of the file.

    Raises:
        InputError: A weight of the model is not in the file, or of another shape, or a weight of the file is not in the
            model, or a layer works differently.
    """
    weights = named_weights(model)
    tensors = _with_channels(loaded, model)
    of_backbone = loaded.source.card.name != card_of(model.name).name
    kept = set() if of_backbone else loaded.heads_kept_in(model)
    fresh, wrong, used = [], [], set()
    for name, weight in weights.items():
        top, there = weight.path.partition("/")[0], tensors.get(name)
        replaced = (of_backbone and top not in trunk) or (_is_head(name) and top not in kept)
        if not replaced and there is not None and there.shape == tuple(weight.shape):
            weight.assign(there)
        elif replaced or (there is not None and top not in trunk and not _is_head(name)):
            fresh.append(top)
        else:
            shape = "missing" if there is None else there.shape
            wrong.append(f"{name} is {shape} in the file and {tuple(weight.shape)} in the model")
        used.add(name)
    unused = [name for name in tensors if name not in used and not of_backbone]
    extra = [name for name in unused if not _is_head(name) or _head(name) in kept]
    if loaded.description:
        of_model = Description.of(model)
        wrong += loaded.description.differences(of_model, trunk if of_backbone else set(of_model.layers))
    if wrong or extra:
        raise InputError(
            f"{loaded.source.name} does not hold the weights of {model.name}: not as in the model {some(wrong)}; in "
            f"the file only {some(extra)}."
        )
    if fresh:
        layers = list(dict.fromkeys(fresh))
        log.warning("%s: fresh, not from %s, are the layers %s", model.name, loaded.source.name, ", ".join(layers))


def _is_head(name: str) -> bool:
    return name.startswith("head_")


def _head(name: str) -> str:
    """The head that a weight such as `head_dense/kernel` or `head_kind_dense/kernel` is of."""
    return name.partition("/")[0].rpartition("_")[0]


def _with_channels(loaded: Loaded, model: keras.Model) -> Tensors:
    """The tensors for images of as many channels as `model` takes."""
    channels = named_weights(model)["pixels/mean"].shape[0]
    if channels == loaded.channels:
        return loaded.tensors
    first = f"{next(iter(anatomy(model)))}/kernel"
    if first not in loaded.tensors:
        return loaded.tensors  # of another net, as will be told
    kernel = loaded.tensors[first]
    order = np.arange(channels) % loaded.channels
    if channels == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    else:
        kernel = kernel[:, :, order] * np.float32(loaded.channels / channels)
    adapted = {f"pixels/{name}": loaded.tensors[f"pixels/{name}"][order] for name in ("mean", "scale")}
    return loaded.tensors | adapted | {first: kernel}
