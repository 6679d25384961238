"""Running all checks of a bundle's artifacts, and recording the results in the manifest and the artifacts' files."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ...core.outputs import map_outputs
from ..artifact.certificate import embed_certificate
from ..artifact.directories import artifact_files, directory_sha256, graph_file
from ..artifact.gzip_size import gzipped_size
from ..artifact.manifest import ArtifactRecord, Check, Gate, Tensor, Validation, ValidationContext
from ..loading import open_converted
from ..targets import checks_of, targets_with
from ..tflite_schema.nodes import count_tflite_operators
from .checks.artifact_check import Subject
from .checks.check_registry import CHECKS, run_check


@dataclass(frozen=True)
class ConvertedArtifact:
    """An artifact after its conversion, as its own runtime reports it."""

    subject: Subject
    input: Tensor | dict[str, Tensor]
    output: Tensor | dict[str, Tensor]
    operators: dict[str, int]
    noise_db: dict[str, float]

    @classmethod
    def from_subject(cls, subject: Subject) -> "ConvertedArtifact":
        """Open the file once in its runtime; raises RuntimeError where the runtime rejects it."""
        artifact = open_converted(subject.path)
        input_, output = (
            map_outputs(lambda tensor: Tensor(**{name: getattr(tensor, name) for name in Tensor.model_fields}), tensors)
            for tensors in (artifact.input, artifact.output)
        )
        return cls(subject, input_, output, _count_operators(subject), artifact.metadata.making.noise_db)


def _count_operators(subject: Subject) -> dict[str, int]:
    if subject.format.suffix == ".tflite":
        return count_tflite_operators(subject.path.read_bytes())
    if subject.format.suffix == ".mlpackage":
        from ..runtimes.core_ml import count_operations as count_in_package

        return count_in_package(graph_file(subject.path).read_bytes())
    if subject.format.suffix == ".savedmodel":
        from ...zoo.saved_model import count_operations

        return count_operations(subject.path)
    from ..conversion.onnx.onnx_nodes import count_onnx_operators

    return count_onnx_operators(subject.path)


def run_checks(
    artifacts: Iterable[ConvertedArtifact], targets: Sequence[str], progress: Callable[[str], None]
) -> list[tuple[ConvertedArtifact, tuple[Check, ...]]]:
    """Validate every artifact with the checks of its targets.

    Artifacts are converted one after another, which leaves most CPUs idle: checks that do not measure latency run
    meanwhile. The others run after all conversions, when nothing else is running.

    Args:
        artifacts: Converts the artifacts, one by one.
        targets: Names of targets.
        progress: Called with a line on the next step.
    """
    with _background_thread() as background:
        planned: list[tuple[ConvertedArtifact, dict[str, Callable[[], Check]]]] = []
        for artifact in artifacts:
            names = checks_of(artifact.subject.format, targets)
            calls: dict[str, Callable[[], Check]] = {name: partial(run_check, name, artifact.subject) for name in names}
            calls |= {name: background.submit(calls[name]).result for name in names if not CHECKS[name].timed}
            planned.append((artifact, calls))
        results: dict[tuple[int, str], Check] = {}
        for timed in (False, True):
            for number, (artifact, calls) in enumerate(planned):
                for name, call in calls.items():
                    if CHECKS[name].timed == timed:
                        progress(f"Validating {artifact.subject.path.name}: {name}")
                        results[number, name] = call()
    return [
        (artifact, tuple(results[number, name] for name in calls)) for number, (artifact, calls) in enumerate(planned)
    ]


@contextmanager
def _background_thread() -> Iterator[ThreadPoolExecutor]:
    """One thread; if the block raises, work that has not started is dropped."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def certify_artifact(
    artifact: ConvertedArtifact,
    gates: tuple[Gate, ...],
    checks: tuple[Check, ...],
    targets: Sequence[str],
    context: ValidationContext,
) -> ArtifactRecord:
    """Embed the validation results in the artifact, and return its record for the manifest."""
    subject = artifact.subject
    validation = Validation(
        targets=tuple(targets_with(subject.format, targets)),
        input=artifact.input,
        output=artifact.output,
        operators=artifact.operators,
        gates=gates,
        checks=checks,
    )
    embed_certificate(subject.path, validation, context)
    contents = [file.read_bytes() for file in artifact_files(subject.path)]
    is_directory = subject.path.is_dir()
    return ArtifactRecord(
        file=subject.path.name,
        format=subject.format.name,
        sha256=directory_sha256(subject.path) if is_directory else hashlib.sha256(contents[0]).hexdigest(),
        bytes=sum(map(len, contents)),
        gzip_bytes=sum(map(gzipped_size, contents)),
        noise_db=artifact.noise_db,
        **dict(validation),
    )
