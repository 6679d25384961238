"""What a README says of the checks of a bundle: which ran, which were skipped, and what single clients need."""

from collections.abc import Iterator

from ..artifact.directories import CORE_ML
from ..artifact.manifest import Check, Manifest
from ..artifact.report import escape
from ..validation.checks.clients import CLIENTS
from ..validation.checks.core_ml import PROGRAM_TITLE
from ..validation.checks.core_ml import TITLE as CORE_ML_TITLE
from ..validation.checks.mediapipe import TITLE as MEDIAPIPE

OPENCV = next(client.title for client in CLIENTS if client.name == "opencv")


def check_lines(manifest: Manifest) -> Iterator[str]:
    """Names of the checks that ran, and of those that were skipped, with the files where it was not all."""
    ran = list(dict.fromkeys(check.name for _, check in _checks(manifest) if not check.skipped))
    skipped: dict[str, list[str]] = {}
    for file, check in _checks(manifest):
        if check.skipped:
            skipped.setdefault(check.name, []).append(file)
    yield f"They were compared with the original model on {manifest.proven_on}. Checks that ran: {'; '.join(ran)}."
    if skipped:
        names = [
            f"{name} (of {' and '.join(f'`{escape(file)}`' for file in files)})" if name in ran else name
            for name, files in skipped.items()
        ]
        yield f"Not run, so nothing is known of the files there: {'; '.join(names)}."
    reasons = "says why, and " if skipped else ""
    yield f"`report.md` {reasons}has all measurements, `manifest.json` the same for programs."


def client_lines(manifest: Manifest) -> Iterator[str]:
    """What MediaPipe and OpenCV need for files that are meant for them."""
    meant = {check.name: file for file, check in reversed(list(_checks(manifest)))}  # the first file of each
    if not manifest.model.is_plain:
        return
    if MEDIAPIPE in meant:
        if manifest.model.image_shape[-1] == 1:
            yield (
                "MediaPipe takes RGB images only, so it refuses these files, whose images are grayscale: for "
                "MediaPipe, export them with `--rgb`."
            )
        else:
            yield "MediaPipe takes RGB images only: convert a grayscale image file, such as a PNG, to RGB before."
    if OPENCV in meant:
        yield (
            f'In OpenCV: `net = cv2.dnn.readNetFromONNX("{meant[OPENCV]}")`, `net.setInput(tensor)`, and `output = '
            "net.forward()`, with the tensor of the Python program for ONNX Runtime below: channels first, and RGB, "
            "where `cv2.imread` gives BGR."
        )


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
