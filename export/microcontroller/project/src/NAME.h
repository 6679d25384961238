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

// Images are rows of pixels with @channels@ channel(s), 0 to 255; normalization is inside the model.
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

// Converts a pixel value to the model's input.
inline Value Quantize(float pixel) {
  const float value = std::round(pixel / kInputScale) + kInputZeroPoint;
  return static_cast<Value>(value < @lowest@.0f ? @lowest@.0f : value > @highest@.0f ? @highest@.0f : value);
}

// Converts a value of the model's output to a real number.
inline float Dequantize(Value value) { return (value - kOutputZeroPoint) * kOutputScale; }

// Registers only the operators of the model; `Resolver` is tflite::MicroMutableOpResolver<kOperators>.
constexpr int kOperators = @operators@;
template <typename Resolver>
void AddOperators(Resolver& resolver) {
@add_operators@
}

}  // namespace @name@

#endif  // @guard@_H_
