// What the sketch uses of Arduino.
#pragma once
#include <cstdint>

struct {
  void begin(long) {}
  template <typename... T>
  void print(T...) {}
  template <typename... T>
  void println(T...) {}
} Serial;
inline void delay(unsigned long) {}
inline unsigned long micros() { return 0; }
