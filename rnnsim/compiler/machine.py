"""The processor: the vectors that it has, and how many of them a kernel may keep in registers."""

from __future__ import annotations

VECTOR = 32  # bytes


def vectors() -> int:
    """How many vectors wide a tile is: its sums, and what they are made of, are in registers."""
    from llvmlite.binding import get_host_cpu_features

    return 4 if get_host_cpu_features().get("avx512vl") else 2  # 32 registers or 16
