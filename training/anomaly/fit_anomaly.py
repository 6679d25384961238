"""Anomaly detectors on the features of a frozen backbone, or on the errors of an autoencoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from ... import layers
from ...core.arguments import Count, Seed, check_arguments
from ...core.errors import InputError
from ...core.short_repr import ShortRepr
from ...tasks.anomaly import Anomaly
from ...tasks.anomaly_metrics import best_threshold, image_scores, kinds_of
from ...tasks.task import Upsampling
from ...zoo.contract import contract_of, known_range, state_contract
from ...zoo.decoded_form import with_raw_pixels
from ...zoo.functional_form import without_optimizer
from ...zoo.heads import upsampling_of
from ...zoo.model_arguments import accepts_any_model
from ...zoo.pixel_range import RAW, Range
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches
from ..data.stream_functions import raising_failures
from ..input_compatibility import check_inputs
from .endpoints import feature_maps
from .statistics import PositionStatistics, greedy_coreset, sampled_vectors, usable_deviation

Method = Literal["padim", "patchcore", "reconstruction"]
SAMPLED = 20_000
"""Vectors of good images that PatchCore's memory is chosen from."""
CLOSEST, TINY = 1e-3, 1e-9
"""Smallest difference between the threshold and usual distances, as a share of these and at all."""


@dataclass(frozen=True)
class AnomalyFit(ShortRepr):
    """A fitted detector."""

    model: keras.Model
    """From images to scores `(batch, height, width, 1)`, 0..1, of which the highest is that of the image."""
    method: str
    endpoints: tuple[str, ...]
    """Layers whose features are compared; empty for an autoencoder."""
    threshold: float
    """Distance whose score is 0.5."""
    rule: str
    """How the threshold was found, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain data, for JSON."""
        facts = {"method": self.method, "endpoints": list(self.endpoints), "threshold": self.threshold}
        return facts | {"rule": self.rule}


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def fit_anomaly(
    model: keras.Model,
    data: ImageData,
    *,
    method: Method = "padim",
    endpoints: Sequence[str] | None = None,
    channels: Count = 100,
    memory: Count = 1000,
    false_alarm_rate: float = 0.05,
    seed: Seed = 0,
    batch_size: Count = 32,
) -> AnomalyFit:
    """Return a detector of anomalies: `model` with the statistics of good images, `data.train`, in its graph.

    The layers of `model` are shared and stay as they are. The threshold is that of the highest F1 on
    `data.validation`, if that has images with defects, or else what a share of its good images exceeds.

    Args:
        model: Any model with maps of features: pretrained, or trained on anything. For `"reconstruction"`, an
            image_to_image model that was trained to return the good images it is given.
        data: Data of the task `anomaly`: good images to train on.
        method: `"padim"`: Gaussians of the features at each position (arXiv:2011.08785), for objects in the same place
            in each image; `"patchcore"`: the nearest of remembered features (arXiv:2106.08265), for textures and
            objects anywhere; `"reconstruction"`: the error of an autoencoder.
        endpoints: Names of layers, or of endpoints on the model's card, whose maps are compared, the largest first. By
            default the last layer of the largest size of at most 32 positions a side, and that of the next size.
        channels: Largest number of channels that are compared, chosen at random.
        memory: Vectors that PatchCore remembers.
        false_alarm_rate: Share of good images above the threshold, 0..1, where validation has no defects.
        seed: Seed for the choice of channels and vectors.
        batch_size: Images at a time.

    Raises:
        InputError: The data is of another task, a training image has a defect, there are too few images, or the model
            has no maps that cover its image.
    """
    if data.task != Anomaly.name:
        raise InputError(
            f"{data.source} has the task {data.task}; anomalies take a folder with train/good and test, a table with a "
            "column 'defect', or from_arrays(..., task='anomaly')."
        )
    if not 0 <= false_alarm_rate < 1:
        raise InputError(f"false_alarm_rate is {false_alarm_rate}; it takes a share, 0 or more and below 1.")
    check_inputs(model, data.train)
    if len(model.inputs) > 1 or len(model.inputs[0].shape) != 4 or None in model.inputs[0].shape[1:]:
        raise InputError(f"{model.name} does not take a single image of a fixed size, in which anomalies have a place.")
    form = without_optimizer(model)
    if method == "reconstruction":
        names: tuple[str, ...] = ()
        network = _compare_reconstruction(form, known_range(model, None))
    else:
        graph, nodes = feature_maps(form, endpoints)
        names = tuple(node.name for node in nodes)
        maps = [node.outputs[0] for node in nodes]
        free = _FreeNames(keras.Model(graph.model_input, maps))
        pyramid = layers.FeaturePyramid(pool_size=3 if method == "patchcore" else 1, name=free("pyramid"))
        features = pyramid(maps)
        chosen = np.sort(np.random.default_rng(seed).permutation(features.shape[-1])[:channels])
        layer = _distance_layer(method, len(chosen), memory, data.train, features, free("distance"))
        strides, crop = _upsampling(model.name, maps[0], graph.inputs[0])
        head = layers.AnomalyHead(strides=strides, crop=crop, name=free("head"))
        network = keras.Model(graph.model_input, head(layer(features)), name=model.name)
        _state_pixels(network, known_range(model, None))
        extract = with_raw_pixels(keras.Model(graph.model_input, features), contract_of(network))
        batches = _good_features(extract, data.train, chosen, batch_size)
        _fit_statistics(layer, batches, chosen, data.train, seed)
    threshold, rule = _set_threshold(network, data.validation, false_alarm_rate, batch_size)
    return AnomalyFit(network, method, names, threshold, rule)


class _FreeNames:
    """Names for layers that are put on a model: it may have a layer of the same name, as `head`.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._taken = {layer.name for layer in model.layers}

    def __call__(self, name: str) -> str:
        """Return the name, or it with `anomaly_` before it, where the model does not have that."""
        while name in self._taken:
            name = f"anomaly_{name}"
        return name


def _distance_layer(
    method: Method, channels: int, memory: int, train: ImageSplit, features: keras.KerasTensor, name: str
) -> layers.FeatureDistance:
    if method == "padim":
        if len(train) < 2:
            raise InputError(
                "train has 1 image, of which nothing varies; padim takes 2 or more, better 100, or set "
                "method='patchcore'."
            )
        return layers.GaussianDistance(channels, name=name)
    vectors = min(SAMPLED, len(train) * features.shape[1] * features.shape[2])
    return layers.NeighborDistance(channels, min(memory, vectors), name=name)


def _upsampling(name: str, map_: keras.KerasTensor, image: keras.KerasTensor) -> Upsampling:
    """Return how the largest map becomes as large as the image."""
    try:
        strides, crop = upsampling_of(map_, image)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    sides = zip(map_.shape[1:3], crop, image.shape[1:3], strict=True)
    if any(own * strides - cut != whole for own, cut, whole in sides):
        raise InputError(
            f"{name} has maps that do not cover its image, as its convolutions are not padded; take another network."
        )
    return strides, crop


def _state_pixels(network: keras.Model, limits: Range | None) -> None:
    """Let a detector take pixels of the range that was stated for its model, or else of what its layers show."""
    state_contract(network, pixels=limits, report=limits is None)


def _compare_reconstruction(form: keras.Model, limits: Range | None) -> keras.Model:
    """Return the detector of an autoencoder: its error at each pixel."""
    image, picture = form.inputs[0], form.outputs[0]
    if len(form.outputs) > 1 or tuple(picture.shape) != tuple(image.shape):
        raise InputError(
            f"{form.name} makes {tuple(picture.shape[1:])} of an image of {tuple(image.shape[1:])}; 'reconstruction' "
            "takes a model that makes pictures of the size of its images."
        )
    found = contract_of(form).pixels if limits is None else limits
    low, high = RAW if isinstance(found, dict) else found
    free = _FreeNames(form)
    error = layers.ReconstructionDistance(high - low, name=free("distance"))([image, picture])
    network = keras.Model(image, layers.AnomalyHead(name=free("head"))(error), name=form.name)
    _state_pixels(network, (low, high))
    return network


def _batches(split: ImageSplit, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield raw pixels and targets."""
    batches = evaluation_batches(split, batch_size)
    with raising_failures(batches):
        for images, targets in batches:
            yield images.numpy(), targets.numpy()


def _good_features(
    extract: keras.Model, train: ImageSplit, chosen: np.ndarray, batch_size: int
) -> Iterator[np.ndarray]:
    """Yield the chosen features of the training images, `(count, positions, channels)`.

    Raises:
        InputError: One of the images has a defect.
    """
    done = 0
    for images, targets in _batches(train, batch_size):
        kinds = kinds_of(targets)
        if kinds.any():
            row = done + int(kinds.argmax())
            label = (train.names or {})[kinds.max()]
            raise InputError(
                f"{train.source} has {train.name_of(row)}, which has a defect ({label}); detectors learn from good "
                "images alone, so move it to the test or the validation."
            )
        done += len(images)
        features = extract.predict_on_batch(images)[..., chosen]
        yield features.reshape(len(features), -1, len(chosen))


def _fit_statistics(
    layer: layers.FeatureDistance, batches: Iterator[np.ndarray], chosen: np.ndarray, train: ImageSplit, seed: int
) -> None:
    """Set the statistics of a distance to those of the features of good images."""
    if isinstance(layer, layers.GaussianDistance):
        statistics = PositionStatistics(layer.positions, len(chosen))
        for features in batches:
            statistics.add(features)
        mean, deviation, means, covariance = statistics.standardized()
        layer.set_selection(chosen, mean, deviation)
        layer.set_statistics(means, covariance)
    elif isinstance(layer, layers.NeighborDistance):
        vectors = sampled_vectors(batches, len(train), SAMPLED, seed)
        mean, deviation = vectors.mean(axis=0), usable_deviation(vectors.std(axis=0))
        layer.set_selection(chosen, mean, deviation)
        standardized = (vectors - mean) / deviation
        layer.set_memory(standardized[greedy_coreset(standardized, layer.memory)])


def _set_threshold(
    network: keras.Model, validation: ImageSplit, false_alarm_rate: float, batch_size: int
) -> tuple[float, str]:
    """Set the threshold by the images of a split; return the distance, and the rule in words."""
    head = network.layers[-1]
    distances = with_raw_pixels(keras.Model(network.input, head.distances(head.input)), contract_of(network))
    kinds, largest, usual = [], [], []
    for images, targets in _batches(validation, batch_size):
        found = distances.predict_on_batch(images)
        kinds.append(kinds_of(targets))
        largest.append(image_scores(found))
        usual.append(np.median(found.reshape(len(found), -1), axis=1))
    has_defect, scores, medians = np.concatenate(kinds) > 0, np.concatenate(largest), np.concatenate(usual)
    good = int((~has_defect).sum())
    if not good:
        raise InputError(f"{validation.source} has no good images, which the threshold is set by.")
    if has_defect.any():
        threshold = best_threshold(has_defect, scores)
        rule = f"best F1 on {len(scores)} validation images, {int(has_defect.sum())} of them with defects"
    else:
        threshold = float(np.quantile(scores, 1 - false_alarm_rate))
        rule = f"exceeded by {false_alarm_rate:.1%} of {good} good validation images"
    typical = float(np.median(medians[~has_defect]))
    threshold = max(threshold, typical * (1 + CLOSEST) + TINY)
    head.set_threshold(threshold, typical)
    return threshold, rule
