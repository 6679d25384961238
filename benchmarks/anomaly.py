"""How well detectors that were fitted to good images find anomalies: PaDiM, PatchCore, and an autoencoder.

`digits`: the built-in data set of digits with scratches, blobs and gaps, on the features of resnet20 with the weights
of the package. `fashion`: each of five classes of Fashion-MNIST (`apt install dataset-fashion-mnist`, or downloaded by
Keras) is good and the other nine are anomalies, on the features of the same resnet20. Five seeds, or five good classes.

    python benchmarks/anomaly.py digits
    python benchmarks/anomaly.py fashion --images 500
"""

import argparse
from dataclasses import replace

import keras
import numpy as np

from pocketzoo import training, zoo

SEEDS = 5
TESTED = 1000
"""Images of the test of Fashion-MNIST, of all classes."""
LEAST_DIGITS = {"padim": 0.95, "patchcore": 0.92}
"""Smallest mean image AUROC on the digits."""


def digits(seed: int) -> training.ImageData:
    """Return the built-in data set."""
    return training.load_data("digit-defects", seed=seed)


def fashion(good: int, most: int) -> training.ImageData:
    """Return one class as good and the others as anomalies; validation has good images alone."""
    data = training.load_data("keras:fashion_mnist", image_size=32)
    own = np.flatnonzero(data.train.labels == good)[: most + 200]
    train, validation = (of_two_kinds(data.train.at(rows), good) for rows in (own[:most], own[most:]))
    test = of_two_kinds(data.test.drawn(TESTED, seed=good), good)
    name = data.labels[good]
    return training.ImageData(name, ("good", "other"), train, validation, test, task="anomaly")


def of_two_kinds(split: training.ImageSplit, good: int) -> training.ImageSplit:
    """Return the images with targets without places: 0 of the good class, -1 of others."""
    kinds = np.where(split.labels == good, 0, -1).astype("int32").reshape(-1, 1, 1)
    labels = np.broadcast_to(kinds, (len(kinds), *split.images.shape[:2]))
    return replace(split, labels=labels, task="anomaly", names=("good", "other"))


def autoencoder(data: training.ImageData, seed: int) -> keras.Model:
    """Return a convolutional autoencoder that was trained to return the good images."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(data.image_shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    for width in (16, 32, 64):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(8, 1)(x)
    for width in (64, 32, 16):
        x = keras.layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    picture = keras.layers.Rescaling(255)(keras.layers.Conv2D(image.shape[-1], 3, padding="same")(x))
    model = keras.Model(image, picture, name="autoencoder")
    pairs, held = (split.arrays()[0] for split in (data.train, data.validation))
    is_good = (data.validation.labels == 0).all(axis=(1, 2))
    own = training.from_arrays(pairs, pairs, task="image_to_image", validation=(held[is_good], held[is_good]))
    recipe = training.Recipe(epochs=60, batch_size=16, optimizer={"name": "adam", "lr": 0.002}, augmentation="none")
    training.fit(model, own, recipe, task="image_to_image", verbose=False)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "fashion"))
    parser.add_argument("--images", type=int, default=500)
    arguments = parser.parse_args()
    columns: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(SEEDS):
        data = digits(seed) if arguments.data == "digits" else fashion(2 * seed, arguments.images)
        for method in ("padim", "patchcore", "reconstruction"):
            if method == "reconstruction":
                model = autoencoder(data, seed)
            else:
                model = zoo.create_model("resnet20", weights="digits", input_shape=data.image_shape)
            fitted = training.fit_anomaly(model, data, method=method, seed=seed)
            found = training.evaluate(fitted.model, data.test)
            figures = (found.image_auroc, found.pixel_auroc or np.nan, found.f1)
            columns.setdefault(method, []).append(figures)
            print(
                f"{data.source}, seed {seed}, {method}: " + " ".join(f"{figure:.4f}" for figure in figures), flush=True
            )
    for method, rows in columns.items():
        means, deviations = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        shown = ", ".join(
            f"{name} {mean:.3f} ({deviation:.3f})"
            for name, mean, deviation in zip(("image AUROC", "pixel AUROC", "F1"), means, deviations, strict=True)
        )
        print(f"{method}: {shown}")
    for method, least in LEAST_DIGITS.items() if arguments.data == "digits" else ():
        if np.mean(columns[method], axis=0)[0] < least:
            raise SystemExit(f"the image AUROC of {method} is below {least}.")


if __name__ == "__main__":
    main()
