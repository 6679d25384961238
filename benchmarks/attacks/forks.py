"""Jobs in forks of this process, which has imported everything once, each under limits that identify it.

The parent must not have started a thread: TensorFlow is imported there, but first used in a fork, and ONNX Runtime,
which starts one when it is imported, is imported in forks only.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = resource.getpagesize()
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What a job may use. Processor time does not depend on what else the machine does."""

    cpu_seconds: int = 120
    wall_seconds: int = 900
    """A job that waits forever uses no processor time."""
    memory_mib: int = 8192
    """Address space in addition to that of this process."""
    file_bytes: int | None = None
    """Largest file that it may write."""


NORMAL = Limits()


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    status: int
    """Exit code; negative if a signal ended the process."""
    cpu_seconds: float
    memory_mib: float
    """Peak of the memory in addition to that of this process."""

    @property
    def sentence(self) -> str:
        """What the status means."""
        if self.status >= 0:
            return f"exit code {self.status}"
        reasons = {signal.SIGXCPU: "over the limit of processor time", signal.SIGALRM: "over the limit of time"}
        return reasons.get(-self.status, f"killed by {signal.Signals(-self.status).name}")


def start(job: Callable[[], object], log: Path, folder: Path, limits: Limits = NORMAL) -> int:
    """Start a job in a fork and return its process; its output goes to `log`, `folder` is its working directory.

    The process ends as Python does: the fork leaves all functions that called this one, by SystemExit or by the job's
    error. So none of them may have a `with` or `finally` around it.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    _enter(log, folder, limits)
    job()
    sys.exit(0)


def call(job: Callable[[], int], log: Path, folder: Path, limits: Limits = NORMAL) -> Ending:
    """Run a job in a fork, which ends at once with the status that the job returns, without Python's own ending."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return wait(child)
    status = 1
    try:
        _enter(log, folder, limits)
        status = job()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def wait(process: int) -> Ending:
    """Wait for the end of a job."""
    return _ending(*os.wait4(process, 0)[1:])


def ended(process: int) -> Ending | None:
    """Return how a job ended; None while it runs."""
    found, status, usage = os.wait4(process, os.WNOHANG)
    return _ending(status, usage) if found else None


def cpu_seconds(process: int) -> float:
    """Return the processor time that a running job has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ending(status: int, usage: resource.struct_rusage) -> Ending:
    own = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    memory = max(0.0, usage.ru_maxrss / 1024 - own / MIB)
    return Ending(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, memory)


def _enter(log: Path, folder: Path, limits: Limits) -> None:
    os.chdir(folder)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
    signal.alarm(limits.wall_seconds)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (size + limits.memory_mib * MIB,) * 2)
    descriptors = (os.open(os.devnull, os.O_RDONLY), *[os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)] * 2)
    for stream, descriptor in enumerate(descriptors):
        os.dup2(descriptor, stream)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
