// An Arduino sketch: runs @model@ on one image after another and prints its predictions.
// Install a library with TensorFlow Lite Micro for your board, and name its header here:
// <TensorFlowLite.h> of Arduino_TensorFlowLite, or <Chirale_TensorFlowLite.h>.
#include <TensorFlowLite.h>

#include "src/@name@.h"
@if example
#include "src/@name@_example.h"
@end
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace model = @name@;

alignas(16) static uint8_t arena[model::kArenaBytes];
static tflite::MicroInterpreter* interpreter = nullptr;

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

void setup() {
  Serial.begin(115200);
  static tflite::MicroMutableOpResolver<model::kOperators> resolver;
  model::AddOperators(resolver);
  static tflite::MicroInterpreter made(tflite::GetModel(model::kModel), resolver, arena, model::kArenaBytes);
  if (made.AllocateTensors() == kTfLiteOk) interpreter = &made;
}

void loop() {
  if (interpreter == nullptr) {
    Serial.println("kArenaBytes is too small, or an operator is missing.");
    delay(1000);
    return;
  }
  model::Value* input = interpreter->input(0)->data.@field@;
  for (int row = 0; row < model::kHeight; ++row) {
    for (int column = 0; column < model::kWidth; ++column) {
      for (int channel = 0; channel < model::kChannels; ++channel) {
        *input++ = model::Quantize(Pixel(row, column, channel));
      }
    }
  }
  const unsigned long start = micros();
  if (interpreter->Invoke() != kTfLiteOk) return;
  const unsigned long elapsed = micros() - start;

  const model::Value* output = interpreter->output(0)->data.@field@;
@if mask
  long counts[model::kLabelCount] = {};
  for (const model::Value* scores = output; scores < output + model::kOutputs; scores += model::kScores) {
    ++counts[model::ClassOf(scores)];
  }
@end
@if ranked
  static float probabilities[model::kLabelCount];
  model::Decode(output, probabilities);
@end
@if counts
  float counts[model::kLabelCount] = {};
  for (int i = 0; i < model::kOutputs; ++i) counts[i % model::kLabelCount] += model::Dequantize(output[i]);
@end
@if vector !counts
  for (int i = 0; i < model::kOutputs; ++i) {
    Serial.print(i);
@else
  for (int i = 0; i < model::kLabelCount; ++i) {
    Serial.print(model::kLabels[i]);
@end
    Serial.print(" ");
@if mask
    Serial.println(counts[i]);  // pixels
@end
@if ranked
    Serial.println(probabilities[i], 3);
@end
@if counts
    Serial.println(counts[i], 2);
@end
@if !mask !ranked !counts
    Serial.println(model::Dequantize(output[i]), 3);
@end
  }
  Serial.print(elapsed);
  Serial.println(" microseconds");
}
