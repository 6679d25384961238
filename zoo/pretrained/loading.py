"""Weights into models: all of them and nothing else, or an error that lists both sides."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...layers import Head
from ..cards import ModelCard
from ..errors import InputError
from ..registry import card_of
from ..saving import load_model
from .anatomy import named_weights
from .conversion import convert
from .layouts import some
from .sources import Weights, find_weights
from .tensors import Tensors, read_tensors

log = logging.getLogger("pocketzoo")


@dataclass(frozen=True)
class Loaded:
    """Weights in our names, and what they are of."""

    source: Weights
    tensors: Tensors
    """By `layer/variable`."""

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
        return _from_model(cards, found[0])
    tensors = read_tensors(path)
    if found[0].layout == "pocketzoo" and all("/" in name for name in tensors):
        return Loaded(found[0], tensors)
    foreign = _used_alike([source for source in found if source.layout != "pocketzoo"])
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


def _from_model(cards: Sequence[ModelCard], source: Weights) -> Loaded:
    model = load_model(source.path)
    card = next((card for card in cards[1:] if model.name == card.name), cards[0])
    tensors = {name: keras.ops.convert_to_numpy(weight) for name, weight in named_weights(model).items()}
    if "pixels/mean" not in tensors:
        raise InputError(f"{source.path} holds {model.name}, which is no model of the zoo.")
    heads = [layer for layer in model.layers if isinstance(layer, Head)]
    if len(heads) != 1:
        return Loaded(Weights(source.name, source.path, "pocketzoo", card, task=None), tensors)
    (head,) = heads
    labels = tuple(head.labels) if head.labels else None
    own = {"task": head.TASK, "classes": getattr(head, "classes", None), "labels": labels}
    return Loaded(Weights(source.name, source.path, "pocketzoo", card, **own), tensors)


def fill(model: keras.Model, loaded: Loaded, *, trunk: set[str], with_head: bool) -> None:
    """Gives `model` the weights that were loaded.

    Another number of channels adapts the first kernel. For grey images it is summed over the channels, which answers as
    the whole net does where the normalisation treats all channels alike (`create_model` sees to that). For more bands
    the colours' kernels are taken over and over, 3 / bands times as strong, so that they add up to the same.

    Args:
        model: To be filled.
        loaded: Weights of the same net, or of its backbone, with whatever head.
        trunk: The layers of `model` that must be filled. The others are filled where name and shape agree, and stay
            fresh where not, which is said in the log.
        with_head: Whether the head that was loaded is the one that `model` has.

    Raises:
        InputError: A weight of the trunk is not in the file, or of another shape, or a weight of the file is not in the
            model.
    """
    weights = named_weights(model)
    tensors = _with_channels(loaded, weights["pixels/mean"].shape[0])
    fresh, wrong, used = [], [], set()
    for name, weight in weights.items():
        top = weight.path.partition("/")[0]
        fits = name in tensors and tensors[name].shape == tuple(weight.shape)
        if fits and (with_head or not _is_head(name)):
            weight.assign(tensors[name])
            used.add(name)
        elif top in trunk:
            there = tensors[name].shape if name in tensors else "missing"
            wrong.append(f"{name} is {there} in the file and {tuple(weight.shape)} in the model")
        else:
            fresh.append(top)
            used.add(name)
    of_backbone = loaded.source.card.name != card_of(model.name).name
    extra = [] if of_backbone else [name for name in tensors if name not in used and not _is_head(name)]
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


def _with_channels(loaded: Loaded, channels: int) -> Tensors:
    """The tensors for images of so many channels."""
    if channels == loaded.channels:
        return loaded.tensors
    first = next(name for name in loaded.tensors if name.endswith("/kernel"))
    kernel = loaded.tensors[first]
    order = np.arange(channels) % loaded.channels
    if channels == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    else:
        kernel = kernel[:, :, order] * np.float32(loaded.channels / channels)
    adapted = {f"pixels/{name}": loaded.tensors[f"pixels/{name}"][order] for name in ("mean", "scale")}
    return loaded.tensors | adapted | {first: kernel}
