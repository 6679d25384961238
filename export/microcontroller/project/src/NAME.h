// @model@ for TensorFlow Lite Micro, made by pocketzoo from the Keras weights @weights@.
#ifndef @guard@_H_
#define @guard@_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace @name@ {

// The model, aligned to 16 bytes: @file@ without labels, metadata and validation results, which cost flash.
extern const unsigned char kModel[];
constexpr std::size_t kModelBytes = @bytes@;

// Memory for the tensors of TensorFlow Lite Micro. @arena_basis@
constexpr std::size_t kArenaBytes = @arena_bytes@;

// Type of the input and of the output.
using Value = std::@value@_t;

@if raw_pixels
// Images are rows of pixels with @channels@ channel(s), 0 to 255; normalization is inside the model.
@else
// Images are rows of pixels with @channels@ channel(s), 0 to 255; `Quantize` brings them to the model's @range@.
@end
constexpr int kHeight = @height@;
constexpr int kWidth = @width@;
constexpr int kChannels = @channels@;
constexpr float kInputScale = @input_scale@;
constexpr int kInputZeroPoint = @input_zero_point@;

constexpr int kOutputs = @outputs@;
constexpr float kOutputScale = @output_scale@;
constexpr int kOutputZeroPoint = @output_zero_point@;

constexpr int kLabelCount = @label_count@;
extern const char* const kLabels[kLabelCount];

// Converts a pixel value, 0 to 255, to the model's input.
inline Value Quantize(float pixel) {
@if raw_pixels
  const float value = std::round(pixel / kInputScale) + kInputZeroPoint;
@end
@if !raw_pixels shifted
  const float value = std::round(pixel) - 128;
@end
@if !raw_pixels !shifted
  const float value = std::round((@low@ + pixel * @step@) / kInputScale) + kInputZeroPoint;
@end
  return static_cast<Value>(value < @lowest@.0f ? @lowest@.0f : value > @highest@.0f ? @highest@.0f : value);
}

// Converts a value of the model's output to a real number.
inline float Dequantize(Value value) { return (value - kOutputZeroPoint) * kOutputScale; }

@if mask
// Scores of each pixel in the output.
constexpr int kScores = @scores@;

// Returns the index of the class that the scores of a pixel show.
inline int ClassOf(const Value* scores) {
@if single
  return Dequantize(scores[0]) > @threshold@f;
@else
  int best = 0;
  for (int i = 1; i < kScores; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
@end
}

@end
@if ranked
// Converts the model's output to the probability of each label.
inline void Decode(const Value* output, float (&probabilities)[kLabelCount]) {
@if single sigmoid
  probabilities[1] = 1 / (1 + std::exp(-Dequantize(output[0])));  // from a logit
  probabilities[0] = 1 - probabilities[1];
@end
@if single !sigmoid
  probabilities[1] = Dequantize(output[0]);
  probabilities[0] = 1 - probabilities[1];
@end
@if softmax
  Value highest = output[0];  // from logits
  for (int i = 1; i < kOutputs; ++i) highest = output[i] > highest ? output[i] : highest;
  float total = 0;
  for (int i = 0; i < kOutputs; ++i) {
    probabilities[i] = std::exp((output[i] - highest) * kOutputScale);
    total += probabilities[i];
  }
  for (float& probability : probabilities) probability /= total;
@end
@if sigmoid !single
  for (int i = 0; i < kOutputs; ++i) probabilities[i] = 1 / (1 + std::exp(-Dequantize(output[i])));  // from logits
@end
@if !softmax !sigmoid !single
  for (int i = 0; i < kOutputs; ++i) probabilities[i] = Dequantize(output[i]);
@end
}

@end
// Registers only the operators of the model; `Resolver` is tflite::MicroMutableOpResolver<kOperators>.
constexpr int kOperators = @operators@;
template <typename Resolver>
void AddOperators(Resolver& resolver) {
@add_operators@
}

}  // namespace @name@

#endif  // @guard@_H_
