"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Layout(StrEnum):
    """What the subfolders of a folder of images are, as `training.load_data` takes it."""

    classes = "classes"
    splits = "splits"
    masks = "masks"
    pairs = "pairs"
    defects = "defects"


Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output of an earlier run of this command.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in the run directory.")]
Extend = Annotated[
    bool, typer.Option("--extend", help="Continue the run in the run directory, finished or not, to more epochs.")
]
RunDir = Annotated[Path, typer.Option(help="Directory for the files of the run.")]
KeepSparsity = Annotated[
    bool | None,
    typer.Option(
        "--keep-sparsity/--lose-sparsity",
        help="Whether zeros and clusters of a compressed model stay; by default a warning says which are lost.",
    ),
]
TrainedModel = Annotated[Path, typer.Argument(help="A .keras file of a trained model.")]
ModelName = Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")]
MODEL_FILE = "a .keras file, an .h5 file of Keras 2 or Teachable Machine, or a SavedModel folder"
NameOrFile = Annotated[str, typer.Argument(help=f"A name from `pocketzoo list`, {MODEL_FILE}.")]
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="Weights of a model by name: a tag from `pocketzoo info NAME`, or a file."),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="What an edge device has: flash=256KiB,ram=64KiB,latency_ms=20, or some of these; sizes in B, kB (or KB), "
        "MB, KiB or MiB.",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Height and width of the images in pixels; the model's default if not set."),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="'digits', 'digit-points', 'digit-scenes', 'digit-strings' or 'digit-defects'; a folder with one "
        "subfolder of images per class, or with train, val and test folders of these; a CSV file with a column 'image' "
        "and a column 'label', 'labels', 'mask', 'text' or 'defect', or columns of numbers; a folder of shards or of "
        "IDX files; 'keras:NAME' (mnist, fashion_mnist, cifar10, cifar100); 'tfds:NAME'; or signals: class folders of "
        ".wav, .npy or .csv files, a table of them, or an .npz file.",
    ),
]
RecipeData = Annotated[str | None, *Data.__metadata__]
"""The same for commands whose recipe can name the dataset as `data.source`."""
FolderLayout = Annotated[
    Layout | None,
    typer.Option(
        "--layout",
        help="What the subfolders of a folder are, where that is not recognized: classes; splits with class folders; "
        "images and their masks; images and pictures to be made of them, in pairs; or good images and such with "
        "defects.",
    ),
]
Ignore = Annotated[
    int | None, typer.Option("--ignore", help="Label of the pixels of masks that have no class, often 255.")
]
EmbeddingSize = Annotated[
    int | None,
    typer.Option(
        "--embedding", min=1, help="Train an embedding of this length by the classes of the data, not a classifier."
    ),
]
Spectrogram = Annotated[
    int | None,
    typer.Option(
        "--spectrogram",
        min=1,
        help="Let the net see sound as a spectrogram of so many mel bands, such as 40 for speech; it computes it from "
        "the samples. Needs --sample-rate.",
    ),
]
SkipUnreadable = Annotated[
    bool,
    typer.Option("--skip-unreadable", help="Skip images that cannot be read, and list them, instead of stopping."),
]
SignalLength = Annotated[
    int | None,
    typer.Option(
        "--length", min=1, help="Samples of each signal: longer ones are cut, shorter ones filled with zeros."
    ),
]
SampleRate = Annotated[
    int | None,
    typer.Option("--sample-rate", min=1, help="Samples per second, to which WAV files of another rate are resampled."),
]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="YAML file with the training recipe.")]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Import and run the functions of your own that the recipe names."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field of the recipe: --set epochs=5, --set optimizer.lr=0.1; repeatable."),
]
