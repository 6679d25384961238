"""Google's own metadata tools on files, as a program of the environment of clients.

Prints the metadata that they read from each file of a folder, and adds labels to each with the writer of classifiers.
"""

import json
import sys
import types
import warnings
from pathlib import Path

# The wheel lacks the C++ module that computes the version of the schema that a reader must know.
NAME = "mediapipe.tasks.cc.metadata.python"
for depth in range(3, 6):
    sys.modules[".".join(NAME.split(".")[:depth])] = types.ModuleType(NAME)
version = types.ModuleType("_pywrap_metadata_version")
version.GetMinimumMetadataParserVersion = lambda _: "1.5.0"
sys.modules[NAME]._pywrap_metadata_version = version

from mediapipe.tasks.python.metadata import metadata  # noqa: E402
from mediapipe.tasks.python.metadata.metadata_writers import (  # noqa: E402
    image_classifier,
    image_segmenter,
    metadata_writer,
)

warnings.simplefilter("ignore")  # it tells of files in the zip that the metadata does not name
folder = Path(sys.argv[1])
found = {}
for path in sorted(folder.glob("*.tflite")):
    displayer = metadata.MetadataDisplayer.with_model_file(str(path))
    files = {name: displayer.get_associated_file_buffer(name).decode() for name in displayer._associated_file_list}
    found[path.stem] = json.loads(image_segmenter.convert_to_json(displayer.get_metadata_buffer())) | {"files": files}
    if len(found[path.stem]["subgraph_metadata"][0]["output_tensor_metadata"]) == 1:
        labels = metadata_writer.Labels().add(["theirs"])
        writer = image_classifier.MetadataWriter.create(bytearray(path.read_bytes()), [0.0], [1.0], labels)
        content, _ = writer.populate()
        path.with_suffix(".written").write_bytes(content)
print(json.dumps(found))
