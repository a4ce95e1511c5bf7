"""The processor: the width of its vectors, and how many a kernel keeps in registers."""

from __future__ import annotations

VECTOR = 32  # bytes


def vectors() -> int:
    """The width of a tile in vectors: its sums and their operands must fit the registers."""
    from llvmlite.binding import get_host_cpu_features

    return 4 if get_host_cpu_features().get("avx512vl") else 2  # 32 registers or 16
