"""The tables of targets, formats and checks fit together."""

from pocketzoo.export.artifact.certificate import Certificate
from pocketzoo.export.artifact.manifest import ArtifactRecord, Check, Gate, Manifest
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.targets import TARGETS
from pocketzoo.export.validation.checks.check_registry import CHECKS


def test_targets_name_formats_and_checks_that_exist():
    assert {fmt for target in TARGETS.values() for fmt in target.checks} == set(FORMATS)
    assert {check for target in TARGETS.values() for check in target.all_checks} == set(CHECKS)


def test_records_keep_their_json_fields():
    """Artifacts and bundles of earlier versions are read with these; fields may only be added, with a default."""
    fields = {record: set(record.model_fields) for record in (ArtifactRecord, Certificate, Manifest, Check, Gate)}
    validation = {"targets", "input", "output", "operators", "gates", "checks"}
    assert fields[ArtifactRecord] >= validation | {"file", "format", "sha256", "bytes", "gzip_bytes", "noise_db"}
    assert fields[Certificate] >= validation | {"model_bytes", "model_sha256", "circumstances"}
    context = {"skipped", "evaluation", "proven_on", "host", "created"}
    model = {"schema_version", "model", "parameters", "sparsity", "targets", "artifacts", "calibration", "tools"}
    assert fields[Manifest] >= context | model
    measured = {"accuracy", "agreement", "psnr_db", "flip_rate", "median_ms", "facts", "files"}
    assert fields[Check] >= measured | {"name", "version", "skipped", "gates"}
    assert fields[Gate] >= {"name", "status", "figure", "operator", "bar", "default_bar", "reason"}
