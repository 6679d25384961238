"""What the names of folders say: which split they hold, and whether they hold images or masks."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["images", "masks"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPLIT_WORDS = (
    dict.fromkeys(_words("train training trn trainval"), "train")
    | dict.fromkeys(
        _words("val valid validate validating validation dev devel development eval evaluation"), "validation"
    )
    | dict.fromkeys(_words("test testing tst holdout"), "test")
)
"""Split by the words that name it."""
IMAGE_WORDS = _words(
    "image images img imgs photo photos picture pictures pic pics rgb input inputs original originals raw frame frames "
    "scan scans tile tiles jpegimages"
)
MASK_WORDS = _words(
    "mask masks label labels labelled labeled annotation annotations annotated annot annots anno annos seg segs "
    "segmentation segmentations segment segments segmentationclass gt gts truth groundtruth target targets labelmap "
    "labelmaps trimap trimaps matte mattes lbl lbls manual"
)
KIND_WORDS = IMAGE_WORDS | MASK_WORDS
FILLERS = _words(
    "set sets data dataset datasets folder folders dir split splits part file files sample samples all final the of "
    "for jpeg jpg png tif tiff bmp left bit class classes fine ground id ids index map maps crop cropped resized"
)
"""Words that say nothing about split or kind."""
UNLABELED_WORDS = _words("pred preds predict prediction predictions unlabeled unlabelled unsup submission inference")
NO_WORDS: Mapping[str, Kind] = {}
BOUNDARY = re.compile(r"[\W_]+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class FolderName:
    """Meaning of a folder's name."""

    split: str | None = None
    """`"train"`, `"validation"` or `"test"`."""
    kind: Kind | None = None
    rest: str = ""
    """Words that mean neither, in lower case; the folders of a data set's splits have these in common."""
    unlabeled: bool = False
    """Whether it names images without targets."""


def parse_folder_name(name: str, more: Mapping[str, Kind] = NO_WORDS) -> FolderName:
    """Return the meaning of a name such as `Training`, `seg_test`, `val2017`, `Train Images`, `trainannot`, `gtFine`.

    A name with two splits, or of images and masks alike, means neither.

    Args:
        name: The name.
        more: Further words that name images or masks.
    """
    kind_of: dict[str, Kind] = {**dict.fromkeys(IMAGE_WORDS, "images"), **dict.fromkeys(MASK_WORDS, "masks"), **more}
    splits, kinds, rest, unlabeled = set(), set(), [], False
    for word in map(str.lower, filter(None, BOUNDARY.split(name))):
        known = [] if word.isdigit() else _known_words(word, more)
        rest += [word] if known is None else []
        unlabeled |= word in UNLABELED_WORDS
        splits |= {SPLIT_WORDS[part] for part in known or () if part in SPLIT_WORDS}
        kinds |= {kind_of[part] for part in known or () if part in kind_of}
    if len(splits) > 1:
        return FolderName(rest=name.lower())
    return FolderName(
        splits.pop() if splits else None, kinds.pop() if len(kinds) == 1 else None, " ".join(rest), unlabeled
    )


def _known_words(word: str, more: Mapping[str, Kind]) -> list[str] | None:
    """Return the known words that a word in lower case is made of, as `trainset` and `gtfine`; None if of others."""
    if not word:
        return []
    for end in range(len(word), 1, -1):
        if word[:end] in SPLIT_WORDS or word[:end] in KIND_WORDS | FILLERS or word[:end] in more:
            others = _known_words(word[end:], more)
            if others is not None:
                return [word[:end], *others]
    return None


def split_of_name(name: str) -> str | None:
    """Return the split that a name means as a whole, such as `Validation` or `val_set`; None for any other."""
    parsed = parse_folder_name(name)
    return None if parsed.rest else parsed.split


def split_names(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each of a folder's subfolders that names one, by name.

    They are those with the same remaining words: `plants_train` beside `plants_test`, but not `train station` beside
    `test tube`.
    """
    parsed = {name: parse_folder_name(name) for name in names}
    by_rest: dict[str, dict[str, str]] = {}
    for name, meaning in parsed.items():
        if meaning.split:
            by_rest.setdefault(meaning.rest, {})[name] = meaning.split
    return max(by_rest.values(), key=lambda group: len(set(group.values())), default={})
