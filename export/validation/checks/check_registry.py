"""All checks by name, and how one is run. A new runtime is a file in `runtimes/`, one in `checks/` and a line here."""

import errno
import traceback

from ....core.errors import first_line
from ...artifact.manifest import Check, Gate
from . import (
    browser,
    c_source,
    clients,
    core_ml,
    cortex_m,
    edge_tpu,
    float16,
    litert,
    litert_gpu,
    mediapipe,
    onnx_runtime,
    openvino,
    tensorflow,
    tflite_micro,
    triton,
    vela,
    web_page,
)
from .artifact_check import ArtifactCheck, Subject

MODULES = (
    litert,
    mediapipe,
    onnx_runtime,
    float16,
    openvino,
    tflite_micro,
    vela,
    c_source,
    cortex_m,
    edge_tpu,
    litert_gpu,
    web_page,
    browser,
    clients,
    tensorflow,
    triton,
    core_ml,
)
CHECKS: dict[str, ArtifactCheck] = {check.name: check for module in MODULES for check in module.CHECKS}

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space on the device, in the user's quota, or for a file of this size."""


def missing_requirement(name: str) -> str | None:
    """How to install what the check of that name lacks on this machine; None if nothing is missing."""
    requirement = CHECKS[name].missing
    return None if requirement is None else requirement.install


def run_check(name: str, subject: Subject) -> Check:
    """Run a check, or skip it where a requirement is missing.

    A check that raises, as runtimes do, has failed; its traceback is saved in a log beside the artifact.

    Raises:
        OSError: The disk is full.
    """
    check = CHECKS[name]
    if not subject.metadata.is_plain and not check.named_tensors:
        names = [f"{kind} {', '.join(forms)}" for kind, forms in subject.metadata.named.items()]
        reason = f"it takes one image and one output, and {subject.metadata.model} has the {' and the '.join(names)}"
        return Check(name=check.title, skipped=reason)
    missing = None if check.runs_partly else check.missing
    if missing:
        return Check(name=check.title, skipped=missing.sentence)
    try:
        return check.run(subject)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        log = subject.path.with_name(f"{subject.path.stem}-{name}.log")
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return Check(name=name, gates=(Gate.measured("ran", 0, ">=", 1, first_line(error)),), files=(log.name,))
