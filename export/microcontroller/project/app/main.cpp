// An example: runs @model@ on one image and prints its prediction.
#include <cstdio>

#include "@name@.h"
@if example
#include "@name@_example.h"
@end
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace model = @name@;

alignas(16) static std::uint8_t arena[model::kArenaBytes];

@if example
// @example_file@; replace it by the camera's pixels, 0 to 255. LiteRT gives, up to a percent by rounding:
@comment@
static float Pixel(int row, int column, int channel) {
  return model::kExample[(row * model::kWidth + column) * model::kChannels + channel];
}
@else
// Replace this gray by the camera's pixels, 0 to 255.
static float Pixel(int row, int column, int channel) {
  (void)row, (void)column, (void)channel;
  return 128.0f;
}
@end

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
@if mask
  constexpr int kPixels = model::kOutputs / model::kScores;
  static int counts[model::kLabelCount];
  for (int pixel = 0; pixel < kPixels; ++pixel) ++counts[model::ClassOf(output + pixel * model::kScores)];
  for (int i = 0; i < model::kLabelCount; ++i) {
    std::printf("%s: %d %%\n", model::kLabels[i], static_cast<int>(100.0f * counts[i] / kPixels));  // of the pixels
  }
@end
@if ranked
  static float probabilities[model::kLabelCount];
  model::Decode(output, probabilities);
@end
@if ranked likeliest
  int best = 0;
  for (int i = 1; i < model::kLabelCount; ++i) {
    if (probabilities[i] > probabilities[best]) best = i;
  }
  std::printf("%s: %d %%\n", model::kLabels[best], static_cast<int>(100 * probabilities[best]));
@end
@if ranked !likeliest
  for (int i = 0; i < model::kLabelCount; ++i) {
    std::printf("%s: %d %%\n", model::kLabels[i], static_cast<int>(100 * probabilities[i]));
  }
@end
@if numbers
  for (int i = 0; i < model::kOutputs; ++i) {
    std::printf("%s: %d / 1000\n", model::kLabels[i], static_cast<int>(1000 * model::Dequantize(output[i])));
  }
@end
@if counts
  static float counts[model::kLabelCount];
  for (int i = 0; i < model::kOutputs; ++i) counts[i % model::kLabelCount] += model::Dequantize(output[i]);
  for (int i = 0; i < model::kLabelCount; ++i) {
    std::printf("%s: %d / 1000\n", model::kLabels[i], static_cast<int>(1000 * counts[i]));
  }
@end
@if vector !counts
  for (int i = 0; i < model::kOutputs; ++i) {
    std::printf("%d: %d / 1000\n", i, static_cast<int>(1000 * model::Dequantize(output[i])));
  }
@end
  return 0;
}
