// What the programs use of LiteRT's C++ API, 2.2; the whole was compiled with them by hand.
#pragma once
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "invoke.h"

namespace absl {
template <typename T>
struct Span {
  T* data_;
  std::size_t size_;
};
template <typename T>
Span<T> MakeSpan(std::vector<T>& values) { return {values.data(), values.size()}; }
}  // namespace absl

namespace litert {
enum class HwAccelerators { kCpu = 1 };
struct ErrorInfo {
  std::string Message() const { return "failed"; }
};
template <typename T>
struct Expected : std::optional<T> {
  using std::optional<T>::optional;
  ErrorInfo Error() const { return {}; }
};
template <>
struct Expected<void> {
  bool ok;
  explicit operator bool() const { return ok; }
};
struct Environment {
  struct Option {};
  static Expected<Environment> Create(std::vector<Option>) { return Environment(); }
};
struct TensorBuffer {
  std::vector<char> bytes;
  template <typename T>
  Expected<void> Write(const std::vector<T>& values) {
    bytes.resize(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return {true};
  }
  template <typename T>
  Expected<void> Read(absl::Span<T> values) {
    std::memcpy(values.data_, bytes.data(), values.size_ * sizeof(T));
    return {bytes.size() == values.size_ * sizeof(T)};
  }
};
struct CompiledModel {
  static Expected<CompiledModel> Create(Environment&, const std::string& file, HwAccelerators) {
    std::FILE* model = std::fopen(file.c_str(), "rb");
    if (!model) return std::nullopt;
    std::fclose(model);
    return CompiledModel();
  }
  Expected<std::vector<TensorBuffer>> CreateInputBuffers() const { return std::vector<TensorBuffer>(1); }
  Expected<std::vector<TensorBuffer>> CreateOutputBuffers() const { return std::vector<TensorBuffer>(1); }
  Expected<void> Run(std::vector<TensorBuffer>& inputs, std::vector<TensorBuffer>& outputs) const {
    return {InvokeByCommand(inputs[0].bytes, outputs[0].bytes)};
  }
};
}  // namespace litert
