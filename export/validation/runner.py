"""Every artifact is put to what its targets have, and what is known of it then is its record in the manifest."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..artifact.certificate import Circumstances, certify
from ..artifact.gzip_size import gzipped_size
from ..artifact.manifest import ArtifactRecord, Check, Gate, Tensor
from ..loading import open_own
from ..targets import checks_of, takers_of
from ..tflite_schema.operators import operators
from .checks.subject import Subject
from .checks.table import UNTIMED, checked


@dataclass(frozen=True)
class Made:
    """An artifact that was just made, and what its own runtime says of it."""

    subject: Subject
    input: Tensor
    output: Tensor
    operators: dict[str, int]
    noise_db: dict[str, float]

    @classmethod
    def of(cls, subject: Subject) -> "Made":
        """Raises what the runtime raises where it does not open the file."""
        artifact = open_own(subject.path)
        ends = (Tensor(**asdict(end)) for end in (artifact.input, artifact.output))
        return cls(subject, *ends, operators(subject.path), artifact.metadata.making.noise_db)


def put_to_checks(
    artifacts: Iterable[Made], targets: Sequence[str], progress: Callable[[str], None]
) -> list[tuple[Made, tuple[Check, ...]]]:
    """Every artifact with what was said of it.

    Artifacts are made one after another, which leaves most processors idle: checks that time nothing run beside that.
    Those that do run once all are made and nothing else is at work.

    Args:
        artifacts: Makes them.
        targets: Names of targets.
        progress: Called with a line on what is done next.
    """
    with _worker() as aside:
        asked: list[tuple[Made, dict[str, Callable[[], Check]]]] = []
        for made in artifacts:
            calls = {name: partial(checked, name, made.subject) for name in checks_of(made.subject.kind, targets)}
            calls |= {name: aside.submit(calls[name]).result for name in calls if name in UNTIMED}
            asked.append((made, calls))
        said: dict[tuple[Path, str], Check] = {}
        for untimed in (True, False):
            for made, calls in asked:
                for name, call in calls.items():
                    if (name in UNTIMED) == untimed:
                        progress(f"Proving {made.subject.path.name}: {name}")
                        said[made.subject.path, name] = call()
    return [(made, tuple(said[made.subject.path, name] for name in calls)) for made, calls in asked]


@contextmanager
def _worker() -> Iterator[ThreadPoolExecutor]:
    """One thread, whose work that has not begun is dropped where anything raises."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def certified_record(
    made: Made,
    gates: tuple[Gate, ...],
    checks: tuple[Check, ...],
    targets: Sequence[str],
    circumstances: Circumstances,
) -> ArtifactRecord:
    """What is known of an artifact, whose file then has it too."""
    subject = made.subject
    told: dict[str, Any] = {
        "targets": tuple(takers_of(subject.kind, targets)),
        "input": made.input,
        "output": made.output,
        "operators": made.operators,
        "gates": gates,
        "checks": checks,
    }
    content = certify(subject.path, **told, circumstances=circumstances)
    return ArtifactRecord(
        file=subject.path.name,
        format=subject.kind.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        gzip_bytes=gzipped_size(content),
        noise_db=made.noise_db,
        **told,
    )
