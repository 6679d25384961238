// Runs the model on an emulated board: reads input tensors from `inputs` until its end, writes output tensors to
// `outputs`; both are files of the host, through semihosting.
#include <cstdio>
#include <cstdlib>

#include "@name@.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace model = @name@;

alignas(16) static std::uint8_t arena[model::kArenaBytes];

static void Check(bool holds, const char* failure) {
  if (holds) return;
  std::printf("%s\n", failure);
  std::exit(1);
}

int main() {
  static tflite::MicroMutableOpResolver<model::kOperators> resolver;
  model::AddOperators(resolver);
  static tflite::MicroInterpreter interpreter(tflite::GetModel(model::kModel), resolver, arena, model::kArenaBytes);
  Check(interpreter.AllocateTensors() == kTfLiteOk, "the model does not load");

  std::FILE* inputs = std::fopen("inputs", "rb");
  std::FILE* outputs = std::fopen("outputs", "wb");
  Check(inputs != nullptr && outputs != nullptr, "the files of the host cannot be opened");
  constexpr std::size_t kInputs = static_cast<std::size_t>(model::kHeight) * model::kWidth * model::kChannels;
  while (std::fread(interpreter.input(0)->data.@field@, sizeof(model::Value), kInputs, inputs) == kInputs) {
    Check(interpreter.Invoke() == kTfLiteOk, "the model does not run");
    std::fwrite(interpreter.output(0)->data.@field@, sizeof(model::Value), model::kOutputs, outputs);
  }
  std::fclose(outputs);
  std::printf("%u bytes of the arena used\n", static_cast<unsigned>(interpreter.arena_used_bytes()));
}
