"""What a README says of the checks of a bundle: which ran, which were skipped, and what single clients need."""

import shlex
from collections.abc import Iterator

from ..artifact.directories import CORE_ML
from ..artifact.manifest import Check, Manifest
from ..artifact.report import escape
from ..validation.checks import mediapipe
from ..validation.checks.clients import CLIENTS
from ..validation.checks.core_ml import PROGRAM_TITLE
from ..validation.checks.core_ml import TITLE as CORE_ML_TITLE
from ..validation.checks.mediapipe import TITLE as MEDIAPIPE

MODEL = "MODEL.keras --data DATA"
"""What stands for a model that the manifest does not tell."""
OPENCV = next(client.title for client in CLIENTS if client.name == "opencv")


def check_lines(manifest: Manifest) -> Iterator[str]:
    """Names of the checks that ran, and of those that were skipped, with the files where it was not all."""
    ran = list(dict.fromkeys(check.name for _, check in _checks(manifest) if not check.skipped))
    skipped: dict[str, list[str]] = {}
    for file, check in _checks(manifest):
        if check.skipped and not _is_refused(manifest, check):
            skipped.setdefault(check.name, []).append(file)
    yield f"The files were compared with the original model on {manifest.proven_on}. Checks that ran: {'; '.join(ran)}."
    if skipped:
        names = [
            f"{name} (of {' and '.join(f'`{escape(file)}`' for file in files)})" if name in ran else name
            for name, files in skipped.items()
        ]
        yield f"Not run, so nothing is known of the files there: {'; '.join(names)}."
    reasons = "says why, and " if skipped else ""
    yield f"`report.md` {reasons}has all measurements, `manifest.json` the same for programs."


def client_lines(manifest: Manifest, source: str) -> Iterator[str]:
    """What MediaPipe and OpenCV need for files that are meant for them.

    Args:
        manifest: Everything about the bundle.
        source: The argument of `pocketzoo export` for the model, and its data.
    """
    meant = {check.name: file for file, check in reversed(list(_checks(manifest)))}  # the first file of each
    model = manifest.model
    if not model.is_plain:
        return
    if MEDIAPIPE in meant:
        if model.image_shape[-1] == 1:
            yield (
                "MediaPipe takes RGB images only, so it refuses these files, whose images are grayscale. Files for it "
                f"are made with `--rgb`: `pocketzoo export {source} --targets mobile --rgb --out "
                f"{shlex.quote(f'{model.model}-rgb')}`"
                + (f", where {source} is what these files were made from." if source == MODEL else ".")
            )
        elif mediapipe.refusal(model) is None:
            yield (
                "MediaPipe takes RGB images only: convert a grayscale image file, such as a PNG, to RGB before; in "
                'Python, `Image.open(path).convert("RGB")`.'
            )
    if OPENCV in meant:
        yield (
            f'In OpenCV: `net = cv2.dnn.readNetFromONNX("{meant[OPENCV]}")`, `net.setInput(tensor)`, and `output = '
            "net.forward()`, with the tensor of the Python program for ONNX Runtime below: channels first, and RGB, "
            "where `cv2.imread` gives BGR."
        )


def _is_refused(manifest: Manifest, check: Check) -> bool:
    """Whether it was skipped since its client cannot take such a model, of which there is nothing to know."""
    model = manifest.model
    return check.name == MEDIAPIPE and model.is_plain and mediapipe.refusal(model) is not None


def core_ml_line(manifest: Manifest) -> str:
    """What the figures of Core ML packages are; empty where there are none."""
    names = {check.name: check for file, check in _checks(manifest) if file.endswith(CORE_ML)}
    if PROGRAM_TITLE not in names:
        return ""
    did_run = CORE_ML_TITLE in names and not names[CORE_ML_TITLE].skipped
    own = f"`{CORE_ML_TITLE}` in `report.md` is Core ML itself." if did_run else "It did not run."
    return f"{PROGRAM_TITLE}: the operations in the package were evaluated one by one, not by Core ML. {own}"


def _checks(manifest: Manifest) -> Iterator[tuple[str, Check]]:
    return ((record.file, check) for record in manifest.artifacts for check in record.checks)
