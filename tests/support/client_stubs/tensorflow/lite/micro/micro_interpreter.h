#pragma once
#include <cstddef>
#include <cstdint>

#include "invoke.h"

enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor {
  union {
    std::int8_t* int8;
    std::int16_t* i16;
  } data;
};
namespace tflite {
struct Model;
struct MicroInterpreter {
  std::vector<char> input_bytes = std::vector<char>(1 << 20), output_bytes;
  TfLiteTensor tensor;
  template <typename Resolver>
  MicroInterpreter(const Model*, const Resolver&, std::uint8_t*, std::size_t) {}
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteStatus Invoke() { return InvokeByCommand(input_bytes, output_bytes) ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor* input(std::size_t) { return Of(input_bytes); }
  TfLiteTensor* output(std::size_t) { return Of(output_bytes); }
  TfLiteTensor* Of(std::vector<char>& bytes) {
    tensor.data.int8 = reinterpret_cast<std::int8_t*>(bytes.data());
    return &tensor;
  }
};
}  // namespace tflite
