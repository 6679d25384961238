// What happens on the emulated board before `main`. QEMU has loaded the sections to where they are used.
#include <cstdint>
#include <cstdlib>

extern "C" {
int main();
void initialise_monitor_handles();  // of newlib's librdimon: opens the standard streams of the host
void __libc_init_array();
void* __dso_handle = nullptr;
void _init() {}
void _fini() {}
extern std::uint32_t stack_top;

void Reset() {
#if defined(__ARM_FP)
  *reinterpret_cast<volatile std::uint32_t*>(0xE000ED88) |= 0xF << 20;  // CPACR: lets the program use the FPU
  __asm volatile("dsb\n isb");
#endif
  initialise_monitor_handles();
  __libc_init_array();
  std::exit(main());
}

void Fault() { std::_Exit(2); }
}

__attribute__((section(".vectors"), used)) static const std::uintptr_t vectors[16] = {
    reinterpret_cast<std::uintptr_t>(&stack_top), reinterpret_cast<std::uintptr_t>(&Reset),
    reinterpret_cast<std::uintptr_t>(&Fault),     reinterpret_cast<std::uintptr_t>(&Fault),
    reinterpret_cast<std::uintptr_t>(&Fault),     reinterpret_cast<std::uintptr_t>(&Fault),
    reinterpret_cast<std::uintptr_t>(&Fault),
};
