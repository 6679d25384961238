"""The programs of READMEs, which `pocketzoo --help` lists, so this imports nothing."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Snippet:
    """A program in one language for one runtime."""

    name: str
    """As on the command line."""
    title: str
    """Language and runtime."""
    suffix: str
    """Of the artifacts that it runs."""
    template: str
    """File in `export/readme/templates`; its ending is that of the program, or that with `.in`."""
    tested: str
    """What the tests do with it; READMEs and docs/export.md say it in these words."""
    formats: tuple[str, ...]
    """Formats that suit its clients, the best first; others follow."""
    dtypes: tuple[str, ...] = ("float32", "int8", "uint8")
    """Of inputs and outputs."""
    takes_open_sizes: bool = False
    stem: str = "predict"
    """Name of the program, where its language has several in one folder."""
    is_beside: bool = False
    """Whether it is no template but a file of the project beside the artifact."""
    needs_repository: bool = False
    """Whether it calls Triton, which serves what is in its model repository."""
    needs_metadata: bool = False
    """Whether its client reads the standard metadata of TFLite files, and takes RGB images only."""
    note: str = ""
    """What a user must know before; `{project}` stands for the folder of the C++ source."""

    @property
    def language(self) -> str:
        """Name of the language in Markdown."""
        ending = PurePath(self.template.removesuffix(".in")).suffix[1:]
        return {"kt": "kotlin", "cc": "cpp", "cs": "csharp", "py": "python", "mjs": "js"}.get(ending, ending)


RUN = "run, and compared with the original model"
BEHIND_STUBS = (
    "compiled and run with stubs of the libraries, which run the file in LiteRT for Python, and compared with the "
    "original model"
)
IN_NODE = (
    "the script run in Node.js with ONNX Runtime Web and a stub of the canvas, not in a browser, and compared with the "
    "original model"
)
AGAINST_STUB = "run against a stub of the server, which runs the file, and compared with its prediction"
NOT_RUN = "neither compiled nor run: only names, files and brackets are checked"
PHONE = ("tflite-fp16", "tflite-fp32", "tflite-dynamic", "tflite-uint8")
SERVER = ("onnx-fp32", "onnx-fp16", "onnx-int8")
NOT_TURNED = "It does not turn a photo upright by its EXIF tag, step 1 of the input: turn photos of cameras before."
ANY_INTEGER = ("float32", "int8", "uint8", "int16")
SNIPPETS = {
    snippet.name: snippet
    for snippet in (
        Snippet(
            "python", "Python, LiteRT", ".tflite", "python.py.in", RUN, PHONE, ANY_INTEGER, takes_open_sizes=True,
            stem="predict_litert",
        ),
        Snippet(
            "python-mediapipe", "Python, MediaPipe Tasks", ".tflite", "mediapipe.py.in", RUN, PHONE,
            needs_metadata=True, stem="predict_mediapipe",
        ),
        Snippet(
            "python-onnx", "Python, ONNX Runtime", ".onnx", "python.py.in", RUN, SERVER, takes_open_sizes=True,
            stem="predict_onnx",
        ),
        Snippet(
            "python-tf-serving", "Python, request to TensorFlow Serving", ".savedmodel", "request.py.in", AGAINST_STUB,
            ("savedmodel-fp32",), takes_open_sizes=True, stem="request_tf_serving",
        ),
        Snippet(
            "python-triton", "Python, request to Triton", ".onnx", "request.py.in", AGAINST_STUB, SERVER, ("float32",),
            takes_open_sizes=True, needs_repository=True, stem="request_triton",
        ),
        Snippet("kotlin", "Kotlin for Android, LiteRT", ".tflite", "litert.kt", NOT_RUN, PHONE),
        Snippet(
            "kotlin-mediapipe", "Kotlin for Android, MediaPipe Tasks", ".tflite", "mediapipe.kt", NOT_RUN, PHONE,
            needs_metadata=True,
        ),
        Snippet("swift", "Swift for iOS, LiteRT", ".tflite", "litert.swift", NOT_RUN, PHONE, ANY_INTEGER),
        Snippet(
            "swift-coreml", "Swift for iOS and macOS, Core ML", ".mlpackage", "coreml.swift", NOT_RUN,
            ("coreml-fp16", "coreml-int8"),
        ),
        Snippet("cpp", "C++, LiteRT", ".tflite", "litert.cc", BEHIND_STUBS, PHONE, ANY_INTEGER, note=NOT_TURNED),
        Snippet(
            "cpp-micro", "C++, TensorFlow Lite Micro", ".tflite", "app/main.cpp", BEHIND_STUBS, ("tflite-int8",),
            ("int8",), is_beside=True,
            note="It reads no image file: put your camera in place of `Pixel`. It takes the "
            "folder `{project}/`, in which the model is, and whose README tells how to build it.",
        ),
        Snippet("node", "JavaScript in Node.js, ONNX Runtime", ".onnx", "node.mjs", RUN, SERVER),
        Snippet("browser", "JavaScript in a browser, ONNX Runtime Web", ".onnx", "browser.html", IN_NODE, SERVER),
        Snippet("csharp", "C#, ONNX Runtime", ".onnx", "onnxruntime.cs", NOT_RUN, SERVER, note=NOT_TURNED),
    )
}  # fmt: skip
"""By name, in the order of a README."""
