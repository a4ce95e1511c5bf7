"""Instructions that calls execute, counted by valgrind's tool callgrind.

Their number is the same whatever else the machine does. A program hands its calls to :func:`measure`;
:func:`run` runs it twice, first by itself, so that all kernels are compiled, then under callgrind.
Kernels are compiled for one fixed processor, and run in one thread: what wider vectors, memory and
threads gain or cost is not seen.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnsim.errors import RnnsimError

TIMEOUT = 900  # seconds for a program, most of which is compilation
WARM = 12  # calls beforehand: Python's own interpreter adapts to what it has run eight times
REPEATS = 2  # counted calls, of which the one with the fewest instructions is taken

HASWELL = (
    "64bit avx avx2 bmi bmi2 cmov cx16 cx8 f16c fma fsgsbase fxsr invpcid lzcnt mmx movbe pclmul popcnt "
    "rdrnd sahf sse sse2 sse3 sse4.1 sse4.2 ssse3 xsave xsaveopt"
)
TARGET = {  # of which valgrind knows all instructions, and nearly every machine has them
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in HASWELL.split()),
    "NUMBA_NUM_THREADS": "1",
    "RNNSIM_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "PYTHONHASHSEED": "0",
}
VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--vgdb=no")


def missing() -> str | None:
    """Why instructions cannot be counted here; None if they can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "instructions are counted on Linux on x86-64 alone"
    if shutil.which(VALGRIND[0]) is None:
        return "instructions are not counted: valgrind is not installed"
    return None


# --- the program that is counted ---

# What ``valgrind/callgrind.h`` makes of a request: four rotations of rdi that change nothing, and an
# exchange that changes nothing, which valgrind recognises. Here they are a function of two arguments,
# the request and what it returns without valgrind.
REQUEST = bytes.fromhex(
    "4889f8"  # mov rax, rdi
    "4889f2"  # mov rdx, rsi
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi, 3, 13, 61, 51
    "4887db"  # xchg rbx, rbx
    "4889d0"  # mov rax, rdx
    "c3"  # ret
)
ZERO, DUMP_AT, START = (int.from_bytes(b"CT") << 16 | i for i in (1, 3, 4))


class Requests:
    """Requests to callgrind, made beforehand, so that next to nothing is executed when they are sent."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._send = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)(address)
        self._kept: list[Any] = []

    def made(self, code: int, text: str = "") -> Callable[[], Any]:
        """A function that sends a request."""
        label = ctypes.create_string_buffer(text.encode())
        request = (ctypes.c_uint64 * 6)(code, ctypes.addressof(label))
        self._kept += [label, request]
        send, address = self._send, ctypes.addressof(request)
        return lambda: send(address, 0)


def measure(calls: Mapping[str, Callable[[], Any]]) -> None:
    """Count the instructions of each call; without valgrind, only call them.

    The process ends here: under valgrind, to tidy up takes seconds.
    """
    requests = Requests()
    start, zero = requests.made(START), requests.made(ZERO)
    for _ in range(WARM):
        for call in calls.values():
            call()
    gc.disable()
    start()
    for name, call in {"": _nothing, **calls}.items():
        dump = requests.made(DUMP_AT, name)
        call()
        for _ in range(REPEATS):
            zero()
            call()
            dump()
    sys.stdout.flush()
    os._exit(0)


def _nothing() -> None:
    """What is counted for this is no call's."""


# --- running it ---


def run(program: str, arguments: Sequence[str] = (), python: str | None = None) -> dict[str, int]:
    """Run a program that ends in :func:`measure`.

    Parameters
    ----------
    program : str
        Python code, for which ``sys`` is imported and this folder is a package named ``suite``.
    arguments : sequence of str
        Its ``sys.argv[1:]``.
    python : str, optional
        The Python of another environment.

    Returns
    -------
    dict
        The number of instructions of each call.

    Raises
    ------
    RnnsimError
        If it fails.
    """
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); {program}"
    environment = {**os.environ, **TARGET}
    if python is not None:
        environment.pop("PYTHONPATH", None)  # it would hide what is installed there
    command = [python or sys.executable, "-c", code, *arguments]
    with tempfile.TemporaryDirectory(prefix="rnnsim-callgrind-") as folder:
        _finish(command, environment, folder)
        _finish([*VALGRIND, "--callgrind-out-file=counts", *command], environment, folder)
        return counts([path.read_text() for path in Path(folder).glob("counts.*")])


def _finish(command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    """Run a command to its end."""
    try:
        subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True,
                       timeout=TIMEOUT)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RnnsimError(f"counting instructions takes more than {TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if not line.startswith("==")]
        said = (lines or ["without a word"])[-1]
        raise RnnsimError(f"instructions cannot be counted: {said}") from None


def counts(dumps: Sequence[str]) -> dict[str, int]:
    """The fewest instructions of each call, without those of counting."""
    found: dict[str, int] = {}
    for dump in dumps:
        label = re.search(r"^desc: Trigger: Client Request: ?(.*)$", dump, re.MULTILINE)
        total = re.search(r"^totals: (\d+)$", dump, re.MULTILINE)
        if label and total:
            name = label[1].strip()
            found[name] = min(int(total[1]), found.get(name, sys.maxsize))
    nothing = found.pop("", 0)
    return {name: count - nothing for name, count in found.items()}
