// LiteRT's C++ API, {{litert_cpp}}: litert_cc_sdk.zip and libLiteRt of https://github.com/google-ai-edge/LiteRT/releases, built as
// https://developers.google.com/edge/litert/next/cpp_sdk says. In CMakeLists.txt:
//   add_subdirectory(litert_cc_sdk)
//   add_executable({{name}} {{name}}.cc)
//   target_link_libraries({{name}} litert_cc_api litert_c_api)
// Beside it: stb_image.h and stb_image_resize2.h of https://github.com/nothings/stb, of its branch master.
// {{name}} photo.jpg, with {{file}}{{and_labels}} in the current directory
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "litert/cc/litert_common.h"
#include "litert/cc/litert_compiled_model.h"
#include "litert/cc/litert_environment.h"
#include "litert/cc/litert_tensor_buffer.h"
#define STB_IMAGE_IMPLEMENTATION
#include "stb_image.h"
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include "stb_image_resize2.h"

constexpr int kHeight = {{height}}, kWidth = {{width}}, kChannels = {{channels}};  // {{colors}}

// Converts a pixel value from 0 to 255 to what the model takes.
{{input_cpp}} ToInput(float pixel) {
@if float_input raw_pixels
  return pixel;  // the model normalizes it itself
@end
@if float_input !raw_pixels
  return {{low}}f + pixel * {{step}}f;  // {{low}} to {{high}}
@end
@if plain_bytes
  return static_cast<{{input_cpp}}>(pixel);
@end
@if shifted
  return static_cast<{{input_cpp}}>(pixel - 128);
@end
@if scaled
  const float steps = std::round(({{low}}f + pixel * {{step}}f) / {{input_scale}}f) {{plus_input_zero_point}};
  return static_cast<{{input_cpp}}>(std::clamp(steps, {{input_min}}.0f, {{input_max}}.0f));
@end
}

// Decodes an image and resizes it without keeping its proportions; transparent pixels become white. A photo is not
// rotated by its EXIF tag.
std::vector<{{input_cpp}}> ReadImage(const char* path) {
  int width, height;
  unsigned char* decoded = stbi_load(path, &width, &height, nullptr, 4);
  if (!decoded) return {};
  std::vector<unsigned char> colors(3 * width * height), resized(3 * kWidth * kHeight);
  for (int i = 0; i < width * height; ++i) {
    const int alpha = decoded[4 * i + 3];
    for (int c = 0; c < 3; ++c) colors[3 * i + c] = (decoded[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255;
  }
  stbi_image_free(decoded);
  stbir_resize(colors.data(), width, height, 0, resized.data(), kWidth, kHeight, 0, STBIR_RGB, STBIR_TYPE_UINT8,
               STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE);
  std::vector<{{input_cpp}}> tensor;
  for (int i = 0; i < kWidth * kHeight; ++i) {
    const unsigned char* color = &resized[3 * i];
@if gray
    tensor.push_back(ToInput(std::round(0.299f * color[0] + 0.587f * color[1] + 0.114f * color[2])));
@else
    for (int c = 0; c < kChannels; ++c) tensor.push_back(ToInput(color[c]));
@end
  }
  return tensor;
}

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: %s photo.jpg\n", arguments[0]), 2;
  auto tensor = ReadImage(arguments[1]);
  if (tensor.empty()) return std::fprintf(stderr, "%s cannot be read\n", arguments[1]), 1;
@if labels
  std::vector<std::string> labels;
  std::ifstream file("{{labels}}");
  for (std::string line; std::getline(file, line);) labels.push_back(line);
  labels.resize({{label_count}});
@end

  auto environment = litert::Environment::Create({});
  if (!environment) return 1;
  auto model = litert::CompiledModel::Create(*environment, "{{file}}", litert::HwAccelerators::kCpu);
  if (!model) return std::fprintf(stderr, "%s\n", model.Error().Message().c_str()), 1;
  auto inputs = model->CreateInputBuffers();
  auto outputs = model->CreateOutputBuffers();
  std::vector<{{output_cpp}}> values({{output_elements}});
  if (!inputs || !outputs || !(*inputs)[0].Write<{{input_cpp}}>(tensor) || !model->Run(*inputs, *outputs) ||
      !(*outputs)[0].Read<{{output_cpp}}>(absl::MakeSpan(values))) {
    return std::fprintf(stderr, "the model cannot be run\n"), 1;
  }
@if quantized_output
  std::vector<float> output(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) output[i] = (values[i] {{minus_output_zero_point}}) * {{output_scale}}f;
@else
  std::vector<float>& output = values;
@end
@if ranked
@if softmax
  const float highest = *std::max_element(output.begin(), output.end());  // logits to probabilities
  for (float& value : output) value = std::exp(value - highest);
  const float total = std::accumulate(output.begin(), output.end(), 0.0f);
  for (float& value : output) value /= total;
@end
@if sigmoid
  for (float& value : output) value = 1 / (1 + std::exp(-value));  // logits to probabilities
@end
@if single
  output = {1 - output[0], output[0]};  // both classes
@end
  std::vector<int> order(output.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return output[a] > output[b]; });
  order.resize(std::min<std::size_t>(order.size(), 5));
  for (int index : order) std::printf("%s: %.2f%%\n", labels[index].c_str(), 100 * output[index]);
@end
@if numbers
  for (std::size_t i = 0; i < output.size(); ++i) std::printf("%s: %.6g\n", labels[i].c_str(), output[i]);
@end
@if mask
  constexpr int kClasses = {{outputs}};
  std::vector<int> mask(output.size() / kClasses), counts(labels.size());  // the class of each pixel, row by row
  for (std::size_t pixel = 0; pixel < mask.size(); ++pixel) {
    const float* scores = &output[pixel * kClasses];
@if single
    mask[pixel] = scores[0] > {{half}}f;
@else
    mask[pixel] = static_cast<int>(std::max_element(scores, scores + kClasses) - scores);
@end
    ++counts[mask[pixel]];
  }
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i]) std::printf("%s: %.2f%%\n", labels[i].c_str(), 100.0 * counts[i] / mask.size());
  }
@end
@if vector
  for (std::size_t i = 0; i < std::min<std::size_t>(output.size(), 8); ++i) std::printf("%.6g\n", output[i]);
@end
  return 0;
}
