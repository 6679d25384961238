"""Files of every kind that is read, made by the writers that users have, of a small model and a small dataset."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from . import forks

SIDE = 16
"""Height and width of the images in pixels."""
CLASSES = 4
IMAGES = 24
"""Number of images of a dataset."""


COMPLETE = "complete.json"


def prepared(folder: Path) -> Path:
    """Return the folder of originals, which are made at the first start."""
    originals = folder / "originals"
    if not (originals / COMPLETE).exists():
        ending = forks.call(lambda: make_originals(originals), folder / "originals.log", folder)
        if ending.status:
            sys.exit((folder / "originals.log").read_text())
    return originals


def make_originals(folder: Path) -> int:
    """Make all files; the last one says that they are complete."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "pictures").mkdir()
    make_images(folder / "pictures")
    make_dataset(folder)
    make_models(folder)
    make_keras2_files(folder)
    (folder / COMPLETE).write_text(json.dumps(sorted(path.name for path in folder.iterdir())))
    return 0


def make_images(folder: Path) -> None:
    """Write the same pixels as every kind of image file that the documentation names."""
    random = np.random.default_rng(0)
    smooth = np.kron(random.integers(0, 255, (4, 4, 3)), np.ones((5, 5, 1))).astype("uint8")
    color = Image.fromarray(smooth)
    gray = color.convert("L")
    transparent = color.convert("RGBA")
    transparent.putalpha(gray)
    for suffix in ("png", "jpg", "bmp", "webp", "gif", "tiff", "avif"):
        color.save(folder / f"color.{suffix}")
    gray.save(folder / "gray.jpg")
    transparent.save(folder / "transparent.png")
    transparent.save(folder / "transparent.webp")
    color.quantize(8).save(folder / "palette.png")
    color.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(random.integers(0, 65535, (20, 20)).astype("uint16")).save(folder / "sixteen.png")
    Image.fromarray(random.normal(size=(20, 20)).astype("float32")).save(folder / "float.tiff")
    color.save(folder / "deflate.tiff", compression="tiff_adobe_deflate")
    exif = color.getexif()
    exif[0x0112] = 6  # rotated by a quarter
    color.save(folder / "exif.jpg", exif=exif, progressive=True)
    color.save(folder / "frames.gif", save_all=True, append_images=[gray.convert("RGB")] * 2)


def make_dataset(folder: Path) -> None:
    """Write a folder with one subfolder of images per class, and tables and masks of the same images."""
    random = np.random.default_rng(0)
    rows, numbers = [], []
    for number in range(IMAGES):
        label = number % CLASSES
        pixels = random.integers(0, 120, (SIDE, SIDE)).astype("uint8")
        pixels[4 * label : 4 * label + 4] += 120  # what tells the classes apart
        path = folder / "classes" / f"class{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        split = "val" if number >= IMAGES - 4 else "test" if number >= IMAGES - 8 else "train"
        rows.append((f"classes/class{label}/{number}.png", split, f"class{label}"))
        numbers.append((rows[-1][0], split, number / 7, -number))
        for kind, values in (("images", pixels), ("masks", (pixels > 120).astype("uint8") * (1 + label % 3))):
            (folder / "segmentation" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / "segmentation" / kind / f"{number}.png")
    (folder / "segmentation" / "labels.txt").write_text("ground\nroad\ntree\nhouse\n")
    for name, header, lines in (
        ("labels.csv", ("image", "split", "label"), rows),
        ("numbers.csv", ("image", "split", "x", "y"), numbers),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])


def make_models(folder: Path) -> None:
    """Write a model, and what is made of it, in every form. It uses TensorFlow, so it runs in a fork."""
    import keras

    from pocketzoo import export, training, zoo
    from pocketzoo.training.data.shards import write_shards

    keras.utils.set_random_seed(0)
    data = training.load_data(folder / "classes", image_size=SIDE, channels=3)
    net = zoo.create_model(
        "resnet20", blocks=1, widths=(4, 6, 8), input_shape=(SIDE, SIDE, 3), labels=data.labels
    )  # more structure than weights, so that changes hit the structure
    zoo.save_model(net, folder / "net.keras")
    zoo.save_weights(net, folder / "net.safetensors")
    net.save_weights(folder / "net.weights.h5")
    lenet = zoo.create_model("lenet5", input_shape=(SIDE, SIDE, 1), labels=data.labels, dropout=0.3)
    zoo.save_model(lenet, folder / "lenet.keras")
    targets = ["mobile-cpu", "gpu", "server-int8"]
    bars = {"agreement": 0, "relative_difference": 10}  # it is untrained: the outputs of int8 do not matter
    calibration = data.train.images.take(np.arange(8))
    export.export_model(net, folder / "bundle", targets=targets, calibration=calibration, bars=bars)
    plan = training.plan_channels(net, budget="params:0.5", round_to=1)
    plan.save(folder / "plan.json")
    write_shards(training.load_data(folder / "classes", image_size=SIDE), folder / "shards")
    (folder / "recipe.yaml").write_text(training.Recipe(augmentation="light", loss="focal").to_yaml())
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "stages.yaml").write_text(STAGES)
    (folder / "sparsity.yaml").write_text("target: 0.7\npattern: element\nscope: layer\nlayers:\n  stage1_*: 0.5\n")
    shutil.copy(Path(zoo.__file__).parent / "cards" / "lenet.toml", folder / "lenet.toml")


SPEC = """channels:
  budget: macs:0.5
  round_to: 1
  recipe: {epochs: 2, batch_size: 20}
sparsity:
  target: 0.6
  recipe: {epochs: 2, optimizer: {name: adam, lr: 0.001}}
clusters: {clusters: 16}
quantization:
export:
  targets: [mobile-cpu]
"""

STAGES = """sparsity: {target: 0.6, recipe: &brief {epochs: 3, batch_size: 4, checkpoint_steps: 2}}
clusters: {clusters: 8, recipe: *brief}
"""


def make_keras2_files(folder: Path) -> None:
    """Write a model and weights in the formats of Keras 2, and a SavedModel."""
    import tf_keras

    from pocketzoo import zoo

    image = tf_keras.Input((SIDE, SIDE, 1))
    features = tf_keras.layers.Conv2D(4, 3, activation="relu")(image)
    outputs = tf_keras.layers.Dense(CLASSES, activation="softmax")(tf_keras.layers.Flatten()(features))
    model = tf_keras.Model(image, outputs)
    model.save(folder / "model2.h5")
    model.save_weights(folder / "weights2.h5")
    zoo.load_model(folder / "net.keras").export(folder / "saved_model", verbose=False)
