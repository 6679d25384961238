// An example: runs @model@ on one image and prints its prediction.
#include <cstdio>

#include "@name@.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace model = @name@;

alignas(16) static std::uint8_t arena[model::kArenaBytes];

// Replace this gray by the camera's pixels.
static float Pixel(int row, int column, int channel) {
  (void)row, (void)column, (void)channel;
  return 128.0f;
}

static int Fail(const char* reason) {
  std::printf("%s\n", reason);
  return 1;
}

int main() {
  static tflite::MicroMutableOpResolver<model::kOperators> resolver;
  model::AddOperators(resolver);
  static tflite::MicroInterpreter interpreter(tflite::GetModel(model::kModel), resolver, arena, model::kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return Fail("kArenaBytes is too small, or an operator is missing.");

  model::Value* input = interpreter.input(0)->data.@field@;
  for (int row = 0; row < model::kHeight; ++row) {
    for (int column = 0; column < model::kWidth; ++column) {
      for (int channel = 0; channel < model::kChannels; ++channel) {
        *input++ = model::Quantize(Pixel(row, column, channel));
      }
    }
  }
  if (interpreter.Invoke() != kTfLiteOk) return Fail("The model does not run.");

  const model::Value* output = interpreter.output(0)->data.@field@;
@print_output@
  return 0;
}
