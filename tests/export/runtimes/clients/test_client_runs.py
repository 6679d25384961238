"""Clients that crash, hang or are not installed."""

import re

import numpy as np
import pytest

from pocketzoo.export.runtimes import client_environment
from pocketzoo.export.runtimes.clients import run_in_client
from pocketzoo.export.validation.checks.check_registry import run_check

pytestmark = pytest.mark.clients


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("os.abort()", "the process is ended by SIGABRT"),
        ("raise ValueError('no such operator')", "ValueError: no such operator"),
        ("time.sleep(60)", "numpy did not finish within 1 s"),
    ],
)
def test_client_that_crashes_or_hangs_is_an_error_that_says_so(line, message, tmp_path, monkeypatch):
    monkeypatch.setattr(client_environment, "SECONDS", 1)
    program = tmp_path / "client.py"
    program.write_text(f"import os\nimport time\n\n\ndef open_model(model):\n    {line}\n")
    with pytest.raises(RuntimeError, match=message):
        run_in_client("numpy", str(program), tmp_path / "net.onnx", {"image": np.zeros((1, 2))})


def test_missing_client_is_skipped_with_the_install_command(lenet, monkeypatch):
    monkeypatch.setattr(client_environment, "find_spec", lambda module: None)
    monkeypatch.setattr(client_environment, "_has_module", lambda python, module: False)
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", "nowhere")
    reasons = [run_check(name, lenet("onnx-fp32")).skipped for name in ("tract", "onnxruntime-node", "ncnn")]
    assert re.search("tract is not installed: python -m venv .*pip install tract", reasons[0])
    assert re.search("onnxruntime-node is not installed: .*npm install onnxruntime-node", reasons[1])
    assert re.search("ncnn with pnnx is not installed: .*pip install ncnn && .*pip install --no-deps pnnx", reasons[2])
