"""What a run used is released when it ends: a loop of runs needs no more memory, disk and descriptors than one."""

import gc
import os
import sys
from collections import Counter
from dataclasses import replace

import pytest
from support.small_net import small_net
from support.transfer import BRIEF, narrow_resnet

from pocketzoo import training


class Decoded:
    """Images that are cached in a file, as decoded ones are."""

    def __init__(self, images):
        self._images = images
        self.shape = images.shape

    def __len__(self):
        return len(self._images)

    def take(self, rows):
        return self._images.take(rows)


@pytest.fixture
def decoded_digits(small_digits):
    return replace(small_digits, train=replace(small_digits.train, images=Decoded(small_digits.train.images)))


def in_use() -> Counter:
    """Open files, mapped files that were deleted, and traced graphs."""
    gc.collect()
    counts = Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing).__name__ == "FuncGraph")
    counts["descriptors"] = len(os.listdir("/proc/self/fd"))
    with open("/proc/self/maps") as maps:
        counts["mappings"] = sum("(deleted)" in line for line in maps)
    return counts


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("verb", ["fit", "fine_tune"])
def test_repeated_runs_keep_nothing(decoded_digits, verb):
    recipe = training.Recipe(epochs=1, batch_size=60, data={"cache": True})
    of_features = BRIEF.changed(mode="feature_extraction", head_epochs=1, batch_size=60)

    def run():
        if verb == "fit":
            training.fit(small_net(), decoded_digits, recipe, verbose=False)
        else:
            training.fine_tune(
                narrow_resnet(blocks=1, labels=decoded_digits.labels), decoded_digits, of_features, verbose=False
            )

    run()
    before = in_use()
    run()
    assert in_use() == before


def test_images_of_a_run_are_released_with_it(small_digits):
    references = []

    class Watched(Decoded):
        def __del__(self):
            references.append("released")

    data = replace(
        small_digits, train=training.ImageSplit(Watched(small_digits.train.images), small_digits.train.labels)
    )
    training.fit(small_net(), data, training.Recipe(epochs=1, batch_size=60), verbose=False)
    del data
    gc.collect()
    assert references == ["released"]
