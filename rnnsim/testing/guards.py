"""Copies of arrays with margins around them, which show what is written or read outside.

Compiled code checks no index: one that is out of bounds reads or overwrites other memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import LINE
from rnnsim.typing import Array

MARGIN = 4096  # bytes before and after
PATTERNS = (0x3F, 0x40)  # read as floats, these bytes are numbers of ordinary size


class Region(NamedTuple):
    """Memory that arrays occupy, which may be parts of one another.

    Attributes
    ----------
    names : list of str
        Of these arrays.
    begin, end : int
        Addresses of the originals.
    """

    names: list[str]
    begin: int
    end: int


class Guards:
    """Makes copies of arrays in buffers of their own, filled with a pattern around them."""

    def __init__(self, pattern: int) -> None:
        self.pattern = pattern
        self._buffers: list[tuple[list[str], Array, int, int]] = []

    def copy(self, value: Any, name: str) -> Any:
        """Copy a NamedTuple of arrays, nested ones included; what is no array stays.

        Arrays that share memory share it in the copy.
        """
        regions = merged(list(_regions(value, name)))
        return self._rebuilt(value, [(region, *self._buffer(region)) for region in regions])

    def damage(self) -> list[str]:
        """The names of the arrays outside of which something was written."""
        found = []
        for names, buffer, first, size in self._buffers:
            outside = np.concatenate([buffer[:first], buffer[first + size :]])
            if (outside != self.pattern).any():
                found.append(" or ".join(names))
        return found

    def _buffer(self, region: Region) -> tuple[Array, int]:
        """A buffer for a region, and where in it the region begins: aligned like the original."""
        size = region.end - region.begin
        buffer = np.full(size + 2 * MARGIN + LINE, self.pattern, np.uint8)
        first = MARGIN + (region.begin - buffer.ctypes.data - MARGIN) % LINE
        self._buffers.append((region.names, buffer, first, size))
        return buffer, first

    def _rebuilt(self, value: Any, places: list[tuple[Region, Array, int]]) -> Any:
        if isinstance(value, tuple):
            made = [self._rebuilt(part, places) for part in value]
            return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
        if not isinstance(value, np.ndarray) or not value.size:
            return value
        begin, _ = extent(value)
        region, buffer, first = next(p for p in places if p[0].begin <= begin < p[0].end)
        offset = first + value.ctypes.data - region.begin
        copy: Array = np.ndarray(value.shape, value.dtype, buffer.data, offset, value.strides)
        copy[...] = value
        copy.flags.writeable = value.flags.writeable
        return copy


def extent(array: Array) -> tuple[int, int]:
    """The addresses at which an array begins and ends."""
    spans = [(size - 1) * stride for size, stride in zip(array.shape, array.strides)]
    at = array.ctypes.data
    return at + sum(min(0, span) for span in spans), at + sum(
        max(0, span) for span in spans
    ) + array.itemsize


def _regions(value: Any, name: str) -> Iterator[Region]:
    """The memory of each array in nested tuples."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for field, part in zip(names, value):
            yield from _regions(part, f"{name}.{field}")
    elif isinstance(value, np.ndarray) and value.size:
        yield Region([name], *extent(value))


def merged(regions: list[Region]) -> list[Region]:
    """Regions that overlap as one."""
    found: list[Region] = []
    for region in sorted(regions, key=lambda region: (region.begin, region.end)):
        if found and region.begin < found[-1].end:
            last = found.pop()
            names = [*last.names, *region.names]
            found.append(Region(names, last.begin, max(last.end, region.end)))
        else:
            found.append(region)
    return found
