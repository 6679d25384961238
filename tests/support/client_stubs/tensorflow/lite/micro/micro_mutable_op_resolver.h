// What the examples use of TensorFlow Lite Micro.
#pragma once
namespace tflite {
template <unsigned n>
struct MicroMutableOpResolver {
  int AddAveragePool2D() { return 0; }
  int AddConv2D() { return 0; }
  int AddFullyConnected() { return 0; }
  int AddLogistic() { return 0; }
  int AddMean() { return 0; }
  int AddReshape() { return 0; }
  int AddSoftmax() { return 0; }
  int AddTanh() { return 0; }
};
}  // namespace tflite
