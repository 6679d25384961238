"""The programs of READMEs, and which files each can run; `pocketzoo --help` lists them, so this imports nothing."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .programs import RunnableFile

COLORS = {1: ("L", "Grayscale"), 3: ("RGB", "RGB")}
"""Mode of Pillow and colors by number of channels."""
SAFE_NAME = re.compile(r"[\w .,()+=-]+")
"""Names of files that mean nothing else in the text of a program."""


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
    is_run: bool
    """Whether the tests run it; otherwise they check little more than its brackets."""
    formats: tuple[str, ...]
    """Formats that suit its clients, the best first; others follow."""
    dtypes: tuple[str, ...] = ("float32", "int8", "uint8")
    """Of inputs and outputs."""
    takes_open_sizes: bool = False
    is_beside: bool = False
    """Whether it is no template but a file of the project beside the artifact."""
    needs_metadata: bool = False
    """Whether its client reads the standard metadata of TFLite files, and takes RGB images only."""

    @property
    def language(self) -> str:
        """Name of the language in Markdown."""
        ending = PurePath(self.template.removesuffix(".in")).suffix[1:]
        return {"kt": "kotlin", "cc": "cpp", "cs": "csharp", "py": "python", "mjs": "js"}.get(ending, ending)

    def refusal(self, artifact: "RunnableFile") -> str | None:
        """Why it cannot run a file; None if it can."""
        if PurePath(artifact.file).suffix != self.suffix:
            return f"it is not a {self.suffix} file"
        if not artifact.metadata.is_plain:
            return "it has several inputs or outputs"
        if not SAFE_NAME.fullmatch(artifact.file):
            return "its name has characters with a meaning in programs; rename it"
        shape = artifact.input.image_shape
        if shape[-1] not in COLORS:
            return f"its images have {shape[-1]} channels, which image files do not have"
        if not self.takes_open_sizes and None in shape:
            return "its image size is open"
        for tensor in (artifact.input, artifact.output):
            if tensor.dtype not in self.dtypes:
                return f"its tensor {tensor.name} is {tensor.dtype}"
        if self.is_beside and not self.file_beside(artifact).exists():
            project = self.file_beside(artifact).relative_to(artifact.path.parent)
            return f"there is no {project} beside it, which target edge-mcu makes"
        return self._refusal_of_metadata(artifact) if self.needs_metadata else None

    def file_beside(self, artifact: "RunnableFile") -> Path:
        """The program of a snippet that is no template."""
        from ..validation.c_source import project_folder

        return project_folder(artifact.path) / self.template

    def _refusal_of_metadata(self, artifact: "RunnableFile") -> str | None:
        if not artifact.has_standard_metadata:
            return "it has no TFLITE_METADATA, which MediaPipe reads"
        if artifact.input.image_shape[-1] != 3:
            return "MediaPipe takes RGB images"
        if artifact.input.dtype not in ("float32", "uint8"):
            return "MediaPipe takes float32 and uint8"
        is_shown = artifact.figure in ("probability", "share")
        return None if is_shown and not artifact.metadata.from_logits else "MediaPipe has no task for its output"


PHONE = ("tflite-fp16", "tflite-fp32", "tflite-dynamic")
SERVER = ("onnx-fp32", "onnx-fp16", "onnx-int8")
ANY_INTEGER = ("float32", "int8", "uint8", "int16")
SNIPPETS = {
    snippet.name: snippet
    for snippet in (
        Snippet("python", "Python, LiteRT", ".tflite", "python.py.in", True, PHONE, ANY_INTEGER, takes_open_sizes=True),
        Snippet("python-onnx", "Python, ONNX Runtime", ".onnx", "python.py.in", True, SERVER, takes_open_sizes=True),
        Snippet("kotlin", "Kotlin for Android, LiteRT", ".tflite", "litert.kt", False, PHONE),
        Snippet(
            "kotlin-mediapipe", "Kotlin for Android, MediaPipe Tasks", ".tflite", "mediapipe.kt", False, PHONE,
            needs_metadata=True,
        ),
        Snippet("swift", "Swift for iOS, LiteRT", ".tflite", "litert.swift", False, PHONE, ANY_INTEGER),
        Snippet("cpp", "C++, LiteRT", ".tflite", "litert.cc", True, PHONE, ANY_INTEGER),
        Snippet(
            "cpp-micro", "C++, TensorFlow Lite Micro", ".tflite", "app/main.cpp", True, ("tflite-int8",), ("int8",),
            is_beside=True,
        ),
        Snippet("node", "JavaScript in Node.js, ONNX Runtime", ".onnx", "node.mjs", True, SERVER),
        Snippet("browser", "JavaScript in a browser, ONNX Runtime Web", ".onnx", "browser.html", True, SERVER),
        Snippet("csharp", "C#, ONNX Runtime", ".onnx", "onnxruntime.cs", False, SERVER),
    )
}  # fmt: skip
"""By name, in the order of a README."""
