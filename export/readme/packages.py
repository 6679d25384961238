"""The versions of the packages that programs use, each stated once.

Packages of one project can differ, since each registry has releases of its own: npm has none of ONNX Runtime 1.31, and
LiteRT for Swift and MediaPipe for Android are behind Python's. Files for one run in the others.
"""

from ..web.packages import VERSIONS

PACKAGES = {
    "litert_python": "2.3.0",
    "litert_android": "2.3.0",
    "litert_cpp": "2.3",
    "litert_swift": "2.2.0",
    "mediapipe_python": "1.2.3",
    "mediapipe_android": "1.1.0",
    "onnxruntime_python": "1.31.1",
    "onnxruntime_nuget": "1.31.1",
    "onnxruntime_node": "1.30.0",
    "onnxruntime_web": VERSIONS["onnxruntime-web"],
    "sharp": "0.35.5",
    "skiasharp": "4.155.0",
}
"""By the placeholder of templates."""
