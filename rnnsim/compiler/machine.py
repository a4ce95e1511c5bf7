"""The processor: the width of its vectors, and how many a kernel keeps in registers."""

from __future__ import annotations

VECTOR = 32  # bytes


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
