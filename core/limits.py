"""Limits on the work that a file can cause, in one place: a few bytes can ask for terabytes, or for ever.

Each limit is far above what real files need. A user raises one with an environment variable, such as
`POCKETZOO_LIMIT_IMAGE_PIXELS=400000000`. Whoever reads a file calls `check` with what it asks for before doing it.
"""

import os
from dataclasses import dataclass

from .errors import InputError, unknown

PREFIX = "POCKETZOO_LIMIT_"


@dataclass(frozen=True)
class Limit:
    """The largest amount of something that a file may ask for."""

    name: str
    """End of the name of its environment variable."""
    default: int
    unit: str
    """What is counted, in the plural."""
    of: str
    """What the amount is of, for the documentation."""
    reason: str
    """What happens without it, or why it is not lower."""

    @property
    def variable(self) -> str:
        """Name of the environment variable that replaces the default."""
        return PREFIX + self.name

    @property
    def value(self) -> int:
        """The limit in force.

        Raises:
            InputError: The environment variable is not a whole number of 1 or more.
        """
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text)):
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            raise InputError(
                f"the environment variable {self.variable} is {shown!r}; it takes a whole number of {self.unit} of 1 "
                f"or more, by default {self.default}."
            )
        return int(text)

    def check(self, amount: int, what: object) -> None:
        """Raise an error where `what`, such as the path of a file, has or needs more than the limit.

        Raises:
            InputError: `amount` is above the limit; the message has both, and how to raise the limit.
        """
        if amount > self.value:
            raise self.refusal(f"{what} has {amount:,} {self.unit}")

    def refusal(self, asks: str) -> InputError:
        """Create the error for what `asks` for more than the limit, such as "net.onnx needs 9,000 iterations"."""
        return InputError(f"{asks}; the limit is {self.value:,} (if you trust it, raise {self.variable}).")


TEXT_BYTES = Limit(
    "TEXT_BYTES",
    2**24,
    "bytes",
    "a recipe, specification, card, settings file, index, manifest, list of labels, or configuration inside a file",
    "parsed text takes up to a hundred times its size in memory",
)
NESTING = Limit(
    "NESTING",
    200,
    "levels",
    "lists and mappings in each other, in YAML and JSON",
    "parsers and whatever handles their results call themselves for each level",
)
YAML_VALUES = Limit(
    "YAML_VALUES",
    100_000,
    "values",
    "a YAML file, with every alias replaced by what it stands for",
    "ten lines of aliases can stand for billions of values",
)
NUMBER_DIGITS = Limit(
    "NUMBER_DIGITS", 400, "digits", "a number in YAML and JSON", "conversion takes the square of their number"
)
TABLE_BYTES = Limit(
    "TABLE_BYTES", 2**28, "bytes", "a CSV file of images", "its rows take several times its size in memory"
)
TABLE_COLUMNS = Limit("TABLE_COLUMNS", 10_000, "columns", "a CSV file of images", "each can become an output")
MISSING_RECORDS = Limit(
    "MISSING_RECORDS",
    100_000,
    "records",
    "what TFRecord shards lack of the records that their index counts",
    "each is listed by its name as one that cannot be read",
)
IMAGE_BYTES = Limit(
    "IMAGE_BYTES", 2**28, "bytes", "an encoded image, or a record with its targets", "it is read into memory"
)
IMAGE_PIXELS = Limit(
    "IMAGE_PIXELS",
    178_956_970,
    "pixels",
    "an image, height times width",
    "a few kilobytes decode to gigabytes; this is Pillow's own limit",
)
IMAGE_SIDE = Limit(
    "IMAGE_SIDE", 2**20, "pixels", "a side of an image", "resizing takes memory by the longer side, however thin it is"
)
IMAGE_READS = Limit(
    "IMAGE_READS",
    500_000,
    "parts",
    "the header of an image file: chunks, comments and padding, as often as its reader reads from it",
    "each takes time, however small; a second for this number",
)
JPEG_PIXELS = Limit(
    "JPEG_PIXELS",
    16 * 178_956_970,
    "pixels",
    "a progressive JPEG, the sum over all of its scans",
    "a scan takes a few bytes, and the time of decoding the image; cameras and editors write ten",
)
TIFF_BANDS = Limit(
    "TIFF_BANDS", 4096, "bands", "a TIFF file", "each is decoded by itself; hyperspectral cameras have hundreds"
)
TIFF_BYTES = Limit(
    "TIFF_BYTES", 2**30, "bytes", "a TIFF file with several bands, uncompressed", "a few kilobytes expand to gigabytes"
)
ARRAY_BYTES = Limit(
    "ARRAY_BYTES", 2**31, "bytes", "the numbers of an IDX, .npy or .npz file, uncompressed", "they are held in memory"
)
MODEL_BYTES = Limit(
    "MODEL_BYTES",
    2**31,
    "bytes",
    "a model, weights or artifact file, of what its compressed parts expand to, and of the weights it describes",
    "it is held in memory, some of it twice; ONNX and TFLite files cannot be larger",
)
MODEL_PARTS = Limit(
    "MODEL_PARTS", 20_000, "parts", "entries, tensors, weights or operators of a model file", "each takes time to read"
)
MODEL_LAYERS = Limit(
    "MODEL_LAYERS",
    4_000,
    "layers",
    "the config of a Keras model, at any depth",
    "Keras takes the square of their number to build a Sequential model",
)
MODEL_MEMORY = Limit(
    "MODEL_MEMORY",
    2**33,
    "bytes",
    "memory for the first run of a TFLite or ONNX file, which is in a process of its own",
    "an operator can produce a tensor of any size",
)
MODEL_SECONDS = Limit(
    "MODEL_SECONDS", 120, "seconds", "the first run of a TFLite or ONNX file", "a file can contain an endless loop"
)
LOOP_SECONDS = Limit(
    "LOOP_SECONDS",
    10,
    "seconds",
    "the first run of a TFLite or ONNX file with a loop",
    "how often it repeats need not be stated in the file",
)
LOOP_ITERATIONS = Limit(
    "LOOP_ITERATIONS",
    10_000,
    "iterations",
    "the loops of an ONNX file that state a number, nested ones multiplied; one without an end counts as 2**63 - 1",
    "the runtime cannot be interrupted",
)

LIMITS = tuple(limit for limit in globals().values() if isinstance(limit, Limit))
"""All limits, in the order of the documentation."""


def check_environment() -> None:
    """Raise InputError where a variable of the environment sets a limit that does not exist, or to no number."""
    variables = {limit.variable: limit for limit in LIMITS}
    for name in os.environ:
        if name.startswith(PREFIX):
            if name not in variables:
                names = [limit.name.lower() for limit in LIMITS]
                raise unknown(f"limit in the environment ({PREFIX}...)", name.removeprefix(PREFIX).lower(), names)
            _ = variables[name].value
