import pytest

from pocketzoo import zoo
from pocketzoo.training import CompressionSpec


def test_empty_section_has_defaults(tmp_path):
    (tmp_path / "spec.yaml").write_text("channels:\nexport:\n")
    spec = CompressionSpec.load(tmp_path / "spec.yaml")
    assert (spec.channels.budget, spec.export.targets) == ("macs:0.5", ("edge",))
    assert spec.sparsity is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "spec: no stage is given; there are channels, distillation, sparsity, clusters, quantization, export"),
        ("chanels: {}", "unknown field 'chanels': did you mean channels"),
        ("channels: {buget: 'macs:0.5'}", "channels.buget: unknown field 'buget': did you mean budget"),
        ("distillation: {weight: 2}", r"distillation.weight: must be less than or equal to 1 \(got 2\)"),
        ("sparsity: {target: 1}", r"spec: sparsity.target: must be less than 1 \(got 1\)"),
        ("quantization: {activation_bits: 4}", r"quantization.activation_bits: "),
        ("distillation: {recipe: {epoch: 3}}", "distillation.recipe.epoch: unknown field 'epoch': did you mean epochs"),
        ("- channels", "is not a compression spec: a compression spec consists of `field: value` lines"),
    ],
)
def test_mistakes_in_a_spec_are_named(tmp_path, text, message):
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        CompressionSpec.load(tmp_path / "spec.yaml")
