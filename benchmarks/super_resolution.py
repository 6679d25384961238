"""Measures super-resolution against Pillow's bicubic enlargement: `python benchmarks/super_resolution.py`.

Scikit-learn's two photographs, halved by averaging 2x2 pixels, are enlarged again. Nets are trained on tiles of the
left three quarters of each photograph and measured on tiles of the rest, so that no pixel is in both. Prints PSNR and
SSIM for each seed, and fails where a net's mean SSIM does not exceed that of bicubic enlargement by `GAIN`. (PSNR
is a mean over tiles, of which smooth sky has the highest.)
"""

import argparse
import sys

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from pocketzoo import training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.image_to_image import PictureEvaluation

TILE, STEP, TRAINED = 48, 24, 3 / 4
GAIN = 0.005
"""Smallest gain in SSIM."""
MODELS = {"edsr_lite_x2": {"blocks": 4}}
"""Models by name, with the arguments of their builders."""


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=zoo.list_models(task="image_to_image"))
    options = parser.parse_args()
    (images, targets), test = tiles(train=True), tiles(train=False)
    data = training.from_arrays(images, targets, task="image_to_image", test=test)
    reference = bicubic(*test)
    print(f"bicubic: PSNR {reference.psnr:.2f} dB, SSIM {reference.ssim:.4f} on {len(test[0])} tiles")
    failed = []
    for name in options.models:
        found = [trained(name, data, seed, options.epochs) for seed in range(options.seeds)]
        for each in found:
            print(f"{name}: PSNR {each.psnr:.2f} dB, SSIM {each.ssim:.4f}", flush=True)
        gain = np.mean([each.ssim for each in found]) - reference.ssim
        print(f"{name}: SSIM {gain:+.4f} against bicubic, at least {GAIN} is expected")
        failed += [name] if gain < GAIN else []
    sys.exit(f"too little gain: {', '.join(failed)}" if failed else 0)


def tiles(*, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return tiles of half the size and of the full size, from the left or the right part of the photographs."""
    found = []
    for photo in load_sample_images().images:
        border = int(TRAINED * photo.shape[1])
        part = photo[:, :border] if train else photo[:, border:]
        rows, columns = (range(0, side - TILE + 1, STEP if train else TILE) for side in part.shape[:2])
        found += [part[top : top + TILE, left : left + TILE] for top in rows for left in columns]
    targets = np.stack(found)
    half = targets.reshape(len(targets), TILE // 2, 2, TILE // 2, 2, 3).mean(axis=(2, 4)).round().astype("uint8")
    return half, targets


def bicubic(images: np.ndarray, targets: np.ndarray) -> PictureEvaluation:
    """Return the evaluation of Pillow's enlargement."""
    enlarged = [np.asarray(Image.fromarray(each).resize((TILE, TILE), Image.Resampling.BICUBIC)) for each in images]
    accumulator = get_task("image_to_image").accumulator(("red", "green", "blue"))
    accumulator.add(targets.astype("float32"), np.stack(enlarged).astype("float32"))
    return accumulator.evaluation()


def trained(name: str, data: training.ImageData, seed: int, epochs: int) -> PictureEvaluation:
    """Return the evaluation of a net after training."""
    keras.utils.set_random_seed(seed)
    model = zoo.create_model(name, input_shape=data.image_shape, labels=data.labels, **MODELS.get(name, {}))
    loss = [{"name": "mae"}, {"name": "ssim", "weight": 0.1}]
    recipe = training.Recipe(epochs=epochs, batch_size=16, optimizer="adam", loss=loss, seed=seed)
    training.fit(model, data, recipe, verbose=False)
    return training.evaluate(model, data.test)


if __name__ == "__main__":
    main()
