"""Asks the artifacts of a quickstart's bundle, in an environment that has the runtimes alone.

python tests/support/runtime_only.py build/quickstart
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from pocketzoo import export, zoo

bundle = Path(sys.argv[1])
assert find_spec("tensorflow") is None
assert find_spec("keras") is None
answers = set()
for path in (bundle / "lenet5-fp32.tflite", bundle / "lenet5-int8.tflite", bundle / "lenet5-fp32.onnx"):
    artifact = export.load_artifact(path)
    image = zoo.read_image(bundle / "digit.png", height=32, width=32, channels=1)
    ((label, probability),) = export.predict(artifact, image).top(1)[0]
    print(f"{path.name} without TensorFlow: {label} ({probability:.2%})")
    answers.add(label)
assert len(answers) == 1
