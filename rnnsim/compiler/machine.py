"""The processor: the width of its vectors, and how many a kernel keeps in registers.

Tiles and traces take vectors of 512 bits where a processor executes them at full width, and of 256 bits
where it executes them in two halves or has none: family 25 of AMD is not faster with 512 bits, family 26
needs half the time (rtrl, 64 units, float64: 142 us a step in place of 278). The sums are the same, to
the last bit. ``RNNSIM_VECTOR_BITS`` chooses for processors that are not known here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

BITS = "RNNSIM_VECTOR_BITS"
CPU = "NUMBA_CPU_NAME"  # another processor than this one, which Numba then compiles for
CPUINFO = Path("/proc/cpuinfo")
FULL_WIDTH = 26  # the first family of AMD that executes 512 bits at full width
HEAD = 1 << 13  # characters of CPUINFO that describe the first core


def described_processor() -> str:
    """What the operating system says of the first core; nothing where it does not."""
    try:
        with CPUINFO.open() as file:
            return file.read(HEAD)
    except OSError:
        return ""


def vector_bytes(processor: str, chosen: str | None, other: str | None) -> int:
    """The width of vectors.

    Parameters
    ----------
    processor : str
        What the operating system says of it.
    chosen, other : str, optional
        ``RNNSIM_VECTOR_BITS``, and the processor to compile for if it is another one.
    """
    if chosen in ("256", "512"):
        return int(chosen) // 8
    family = re.search(r"^cpu family\s*: (\d+)$", processor, re.MULTILINE)
    is_amd, has_512 = "AuthenticAMD" in processor, " avx512f " in processor
    is_wide = is_amd and has_512 and family is not None and int(family[1]) >= FULL_WIDTH
    return 64 if is_wide and not other else 32


VECTOR = vector_bytes(described_processor(), os.environ.get(BITS), os.environ.get(CPU))


def vectors() -> int:
    """The width of a tile in vectors: its sums and their operands must fit the registers."""
    return 4 if _has("avx512vl") else 2  # 32 registers or 16


def _has(feature: str) -> bool:
    """Whether the processor that Numba compiles for has a feature; ``NUMBA_CPU_FEATURES`` may say so."""
    from llvmlite.binding import get_host_cpu_features
    from numba import config

    chosen: str | None = config.CPU_FEATURES  # type: ignore[attr-defined]
    if chosen is not None:
        return f"+{feature}" in chosen.split(",")
    return bool(get_host_cpu_features().get(feature))
