"""An int8 TFLite file as C++ source, for microcontrollers without a file system."""

import re
from pathlib import Path
from string import Template
from zlib import crc32

from ...tasks.registry import get_task
from ..artifact.artifact import Artifact
from ..artifact.certificate import model_part
from ..artifact.metadata import Metadata
from ..tflite_schema.nodes import tflite_nodes
from ..tflite_schema.operator_support import operator_list

HEADER = Template("""\
// $model for TensorFlow Lite Micro, made by pocketzoo from the Keras weights $weights.
#ifndef ${guard}_H_
#define ${guard}_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace $namespace {

// The model, aligned to 16 bytes: $stem.tflite up to its labels and validation results, which are not needed to run it.
extern const unsigned char kModel[];
constexpr std::size_t kModelBytes = $bytes;

// Images are rows of pixels with $channels channel(s), 0 to 255; normalization is inside the model.
constexpr int kHeight = $height;
constexpr int kWidth = $width;
constexpr int kChannels = $channels;
constexpr float kInputScale = $input_scale;
constexpr int kInputZeroPoint = $input_zero_point;

constexpr int kOutputs = $outputs;
constexpr float kOutputScale = $output_scale;
constexpr int kOutputZeroPoint = $output_zero_point;

constexpr int kLabelCount = $label_count;
extern const char* const kLabels[kLabelCount];

// Converts a pixel value to the model's input.
inline std::int8_t Quantize(float pixel) {
  const float value = std::round(pixel / kInputScale) + kInputZeroPoint;
  return static_cast<std::int8_t>(value < -128.0f ? -128.0f : value > 127.0f ? 127.0f : value);
}

// Converts a value of the model's output to a real number.
inline float Dequantize(std::int8_t value) { return (value - kOutputZeroPoint) * kOutputScale; }

// Registers only the operators of the model; `Resolver` is tflite::MicroMutableOpResolver<kOperators>.
constexpr int kOperators = $operators;
template <typename Resolver>
void AddOperators(Resolver& resolver) {
$add_operators
}

}  // namespace $namespace

#endif  // ${guard}_H_
""")

SOURCE = Template("""\
#include "$stem.h"

namespace $namespace {

alignas(16) const unsigned char kModel[kModelBytes] = {
$array
};

const char* const kLabels[kLabelCount] = {
$labels
};

}  // namespace $namespace
""")

MAIN = Template("""\
// An example: runs $model on one image and prints its prediction. Build it with TensorFlow Lite Micro and $stem.cc.
#include <cstdio>

#include "$stem.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace model = $namespace;

$arena
alignas(16) static std::uint8_t arena[kArenaBytes];

// Replace this gray by the camera's pixels.
static float Pixel(int row, int column, int channel) {
  (void)row, (void)column, (void)channel;
  return 128.0f;
}

int main() {
  static tflite::MicroMutableOpResolver<model::kOperators> resolver;
  model::AddOperators(resolver);
  static tflite::MicroInterpreter interpreter(tflite::GetModel(model::kModel), resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;

  std::int8_t* input = interpreter.input(0)->data.int8;
  for (int row = 0; row < model::kHeight; ++row) {
    for (int column = 0; column < model::kWidth; ++column) {
      for (int channel = 0; channel < model::kChannels; ++channel) {
        *input++ = model::Quantize(Pixel(row, column, channel));
      }
    }
  }
  if (interpreter.Invoke() != kTfLiteOk) return 1;

  const std::int8_t* output = interpreter.output(0)->data.int8;
$print_output
  return 0;
}
""")

PRINT_LIKELIEST = """\
  int best = 0;
  for (int i = 1; i < model::kOutputs; ++i) {
    if (output[i] > output[best]) best = i;
  }
  std::printf("%s: %d %%\\n", model::kLabels[best], static_cast<int>(100 * model::Dequantize(output[best])));"""
PRINT_ALL = """\
  for (int i = 0; i < model::kOutputs; ++i) {
    std::printf("%s: %d / 1000\\n", model::kLabels[i % model::kLabelCount],
                static_cast<int>(1000 * model::Dequantize(output[i])));
  }"""

ARENA = Template("""\
// Measured with 64-bit pointers; it is less with 32-bit pointers.
constexpr std::size_t kArenaBytes = $bytes;""")
NO_ARENA = """\
#error "Set the size of the arena; TensorFlow Lite Micro was not installed to measure it."
constexpr std::size_t kArenaBytes = 0;"""


def write_c_source(artifact: Artifact, metadata: Metadata, arena_bytes: int | None) -> tuple[Path, ...]:
    """Write a header, the source of the model's bytes, and an example `main`, beside the TFLite file.

    Args:
        artifact: The int8 TFLite file, opened.
        metadata: Its metadata.
        arena_bytes: Size of the arena in the example; None where it is not known.
    """
    path = artifact.path
    values = _values(artifact, metadata) | {
        "arena": NO_ARENA if arena_bytes is None else ARENA.substitute(bytes=arena_bytes)
    }
    texts = {f"{path.stem}.h": HEADER, f"{path.stem}.cc": SOURCE, f"{path.stem}_main.cc": MAIN}
    for name, template in texts.items():
        path.with_name(name).write_text(template.substitute(values), encoding="ascii")
    return tuple(path.with_name(name) for name in texts)


def _values(artifact: Artifact, metadata: Metadata) -> dict[str, object]:
    """The fields of the templates."""
    content = model_part(artifact.path.read_bytes(), ".tflite")
    namespace = c_name(artifact.path.stem)
    accepted = operator_list("tflite_micro").operators
    added = sorted({accepted[node.operator].added_by for node in tflite_nodes(content)})
    height, width, channels = metadata.image_shape
    outputs = 1
    for side in artifact.output.shape:
        outputs *= side
    return {
        "model": c_name(metadata.model),
        "weights": metadata.weights_sha256,
        "stem": artifact.path.stem,
        "guard": namespace.upper() if namespace.islower() else namespace,  # different for Net and net
        "namespace": namespace,
        "bytes": len(content),
        "height": height,
        "width": width,
        "channels": channels,
        "input_scale": c_float(artifact.input.scale),
        "input_zero_point": artifact.input.zero_point,
        "outputs": outputs,
        "output_scale": c_float(artifact.output.scale),
        "output_zero_point": artifact.output.zero_point,
        "label_count": len(metadata.labels),
        "labels": "\n".join(f"    {c_string(label)}," for label in metadata.labels),
        "operators": len(added),
        "add_operators": "\n".join(f"  resolver.{name}();" for name in added),
        "array": _array_rows(content),
        "print_output": PRINT_LIKELIEST if get_task(metadata.task).one_decision_per_image else PRINT_ALL,
    }


def _array_rows(content: bytes) -> str:
    rows = (content[start : start + 16] for start in range(0, len(content), 16))
    return "\n".join(f"    {', '.join(f'0x{byte:02x}' for byte in row)}," for row in rows)


def c_name(text: str) -> str:
    """Convert `text` to an identifier; the stem of a file, such as `net-int8`, to one that no other stem has."""
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    name = name if name[:1].isalpha() else f"model_{name}"
    model = text.rpartition("-")[0] or text
    is_plain = re.fullmatch("[A-Za-z][0-9A-Za-z]*(_[0-9A-Za-z]+)*", model)
    return name if is_plain else f"{name}_{crc32(text.encode()):08x}"


def c_float(value: float) -> str:
    """Write the float32 nearest to `value` as an exact literal."""
    return f"{value:.9e}f"


def c_string(text: str) -> str:
    """Write `text` in UTF-8 as a string literal; quotes and all but printable ASCII are escaped."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
