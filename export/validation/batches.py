"""Several images at once, as servers send them: the outputs must be those of each alone."""

from ..artifact.artifact import Artifact
from ..artifact.manifest import Gate
from ..formats import Format
from .comparison import Comparison
from .reference import Reference

MAX_BATCH = 8
"""Most images at once, here and in what is written for servers."""


def batch_gate(artifact: Artifact, fmt: Format, reference: Reference) -> Gate:
    """Gate on the difference from Keras, relative to the variation of its outputs, of images in one call.

    Args:
        artifact: An artifact with an open batch; others run them one after another.
        fmt: Its format, with the threshold.
        reference: Images and the outputs of Keras.
    """
    few = reference.mixed().at_most(MAX_BATCH)
    comparison = Comparison(few)
    comparison.add(artifact.run_at_once(few.samples.batch(slice(0, len(few)))))
    largest = max(output.difference.relative for output in comparison.outputs.values())
    bar = float("inf") if fmt.relative_difference is None else fmt.relative_difference
    return Gate.measured(f"relative difference of {len(few)} images at once", largest, "<=", bar)
