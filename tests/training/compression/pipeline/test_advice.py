import numpy as np
import pytest

from pocketzoo import export, training, zoo
from pocketzoo.export.footprint import ArtifactCost, FileSize
from pocketzoo.training.compression.pipeline.advice import Variant, judge, sparse_copy
from pocketzoo.training.compression.pipeline.goals import goal_of


def test_sparse_copy_has_the_zeros_that_prune_would_set(trained):
    before, sparse = zoo.flatten_model(trained), zoo.flatten_model(sparse_copy(trained, 0.8))
    for name in ("stage1_conv_conv", "head_dense"):  # the first and the last stay dense
        np.testing.assert_array_equal(sparse.get_layer(name).kernel, before.get_layer(name).kernel)
    assert np.mean(sparse.get_layer("dense1").kernel.numpy() == 0) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("target", "size", "gzipped", "ms", "advice"),
    [
        ("mobile", 100, 25, 25, r"Pays: 4.0 times as fast and 4.0 times smaller to download. do it"),
        ("mobile", 100, 25, 100, r"Pays in size only: 4.0 times smaller to download, no faster. do it"),
        ("mobile", 100, 25, 200, r"Pays in size only: 4.0 times smaller to download, but 2.0 times as slow. do it"),
        ("edge", 100, 25, 100, r"Does not pay here: no faster, no smaller."),
        ("edge", 50, 50, 100, r"Pays in size only: 2.0 times smaller in flash, no faster. do it"),
        ("server", 50, 25, 100, r"Does not pay here: no faster."),
        ("server", 50, 25, 200, r"Does not pay here: 2.0 times as slow."),
        ("server", 50, 25, 50, r"Pays: 2.0 times as fast. do it"),
    ],
)
def test_advice_depends_on_what_matters_on_the_target(target, size, gzipped, ms, advice):
    base, cost = ArtifactCost(FileSize(100, 100), 100.0), ArtifactCost(FileSize(size, gzipped), float(ms))
    assert judge(Variant("", None, "", "do it"), base, cost, goal_of(target)).advice == advice


def test_advice_lists_methods_that_do_not_apply(trained):
    asked = {}

    def measure(models, formats):
        asked.update(formats)
        return {name: ArtifactCost(FileSize(100, 100), 1.0) for name in models}

    before = trained.get_weights()
    advice = training.advise(trained, "server", measure=measure)
    assert asked == {"as it is": "onnx-fp32", "int8": "onnx-int8", "80% zeros": "onnx-fp32"}
    assert [method.method for method in advice.methods] == ["int8", "80% zeros"]
    assert "the budget is macs:" in advice.not_measured["half the channels"]
    assert advice.to_dict()["as it is"] == {"size": {"bytes": 100, "gzip_bytes": 100}, "median_ms": 1.0}
    for now, then in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_unknown_target_is_rejected_before_anything_is_measured(trained):
    with pytest.raises(zoo.InputError, match="unknown target 'phone'"):
        training.advise(trained, "phone", measure=export.measure_artifacts)
