"""Programs for Arm Cortex-M: built by CMake with a cross compiler, and run on a board that QEMU emulates."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .subprocesses import run_command

COMPILER, SIZE, READELF = "arm-none-eabi-g++", "arm-none-eabi-size", "arm-none-eabi-readelf"
QEMU, CMAKE = "qemu-system-arm", "cmake"
LIBRARY, INCLUDE = "POCKETZOO_TFLM_LIBRARY", "POCKETZOO_TFLM_INCLUDE"
"""Variables that name the user's TensorFlow Lite Micro, and the folders of its headers."""
BOARDS = {"Cortex-M3": "mps2-an385", "Cortex-M4": "mps2-an386", "Cortex-M7": "mps2-an500"}
"""QEMU's boards by processor; all have the memory that `mps2.ld` describes."""
PROCESSORS = {"v6S-M": "Cortex-M3", "v7": "Cortex-M3", "v7E-M": "Cortex-M4"}
"""Emulated processors by the architecture that a library was compiled for; with FPv5 it is a Cortex-M7."""
BOARD_BYTES = 4 * 2**20
"""Memory for code and constants, and as much for variables."""
EMULATION = Path(__file__).parents[1] / "microcontroller" / "emulation"


@dataclass(frozen=True)
class Processor:
    """A processor that runs a library."""

    name: str
    """Such as `Cortex-M4`."""
    passes_floats_in_registers: bool

    @property
    def board(self) -> str:
        """Name of the board in QEMU."""
        return BOARDS[self.name]

    @property
    def options(self) -> str:
        """Options of GCC for code that can be linked with the library."""
        return f"-mcpu={self.name.lower()} -mthumb -mfloat-abi={'hard' if self.passes_floats_in_registers else 'soft'}"


@dataclass(frozen=True)
class MemoryUse:
    """Sizes of the sections of a program, in bytes."""

    text: int
    data: int
    bss: int


def library_path() -> Path | None:
    """The library that the user has named; None if there is none."""
    return Path(os.environ[LIBRARY]) if os.environ.get(LIBRARY) else None


def include_folders() -> list[Path]:
    """The folders of headers that the user has named."""
    return [Path(folder).resolve() for folder in os.environ.get(INCLUDE, "").split(os.pathsep) if folder]


def processor_of(library: Path) -> Processor:
    """The emulated processor that runs a library.

    Raises:
        RuntimeError: There is none, or the file is no library for Arm.
    """
    done = run_command(READELF, [READELF, "-A", library])
    found = re.search(r"Tag_CPU_arch: (\S+)", done.stdout)
    if not found or found[1] not in PROCESSORS:
        what = f"was compiled for {found[1]}" if found else "is no library for Arm processors"
        raise RuntimeError(f"{library}, which {LIBRARY} names, {what}; emulated are {', '.join(BOARDS)}")
    name = "Cortex-M7" if "Tag_FP_arch: FPv5" in done.stdout else PROCESSORS[found[1]]
    return Processor(name, "Tag_ABI_VFP_args: VFP registers" in done.stdout)


def build_program(project: Path, main: Path, library: Path, folder: Path) -> Path:
    """Build the program of a project in `folder`, which may have a build with another `main` already.

    Args:
        project: The project that `c_source.write_c_source` writes.
        main: Source of the program.
        library: TensorFlow Lite Micro.
        folder: Folder of the build.

    Raises:
        RuntimeError: It cannot be built.
    """
    settings = {
        "CMAKE_SYSTEM_NAME": "Generic",
        "CMAKE_SYSTEM_PROCESSOR": "arm",
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",  # a program needs the linker script
        "CMAKE_BUILD_TYPE": "MinSizeRel",
        "CMAKE_CXX_COMPILER": COMPILER,
        "CMAKE_CXX_FLAGS": f"{processor_of(library).options} -fno-rtti -fno-exceptions -fno-threadsafe-statics "
        "-ffunction-sections -fdata-sections",
        "CMAKE_EXE_LINKER_FLAGS": f'--specs=rdimon.specs -nostartfiles -Wl,--gc-sections -T "{EMULATION / "mps2.ld"}"',
        "TFLM_LIBRARY": str(library.resolve()),
        "TFLM_INCLUDE": ";".join(map(str, include_folders())),
        "MAIN_SOURCES": f"{main};{EMULATION / 'startup.cpp'}",
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    commands = [CMAKE, "-S", str(project), "-B", str(folder), *options], [CMAKE, "--build", str(folder)]
    for command in commands:
        done = run_command(CMAKE, command)
        if done.returncode:
            raise RuntimeError(f"{CMAKE} does not build {project.name}: {_first_error(done)}")
    return folder / f"{project.name}_main"


def _first_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = (line for line in lines if re.search(r"error|undefined reference|overflowed", line, re.IGNORECASE))
    return next(errors, lines[-1] if lines else f"it exited with code {done.returncode}")


def memory_use(program: Path) -> MemoryUse:
    """Return the sizes of the sections of a program."""
    lines = run_command(SIZE, [SIZE, program]).stdout.splitlines()
    return MemoryUse(*map(int, lines[1].split()[:3]))


def emulate(program: Path, processor: Processor, folder: Path) -> str:
    """Run a program, which reads and writes files in `folder` through semihosting; returns what it prints.

    Raises:
        RuntimeError: It does not end with exit code 0.
    """
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    command = [QEMU, "-M", processor.board, "-nographic", "-monitor", "none", "-serial", "none", *semihosting]
    done = run_command(QEMU, [*command, "-kernel", program.resolve()], folder)
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise RuntimeError(f"the program failed on an emulated {processor.name}: {''.join(last) or done.returncode}")
    return done.stdout


def qemu_version() -> str:
    """Return such as `7.2.15`."""
    found = re.search(r"version (\S+)", run_command(QEMU, [QEMU, "--version"]).stdout)
    return found[1] if found else "of unknown version"


def is_installed(program: str) -> bool:
    """Whether a program is on the path."""
    return shutil.which(program) is not None
