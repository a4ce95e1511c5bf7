"""What is kept from call to call: the least recently used goes first where it takes too many bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

MOST = 1 << 29  # bytes that a thread keeps


class Sized(Protocol):
    """Something that holds arrays."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Kept(threading.local, Generic[T]):
    """Things by key, in the order of their last use; each thread has its own.

    The last one is kept whatever its size, so that the same call again allocates nothing.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._things: dict[Hashable, T] = {}

    def guarded(self, key: Hashable, make: Callable[[], T], holds: Callable[[T], bool]) -> T:
        """The thing of a key, made if it is absent or does not hold any more."""
        thing = self.get(key, make)
        if not holds(thing):
            del self._things[key]
            thing = self.get(key, make)
        return thing

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of a key, made if it is absent."""
        last = next(reversed(self._things), None)
        if key == last and last is not None:
            return self._things[key]
        thing = self._things.pop(key, None)
        if thing is None:
            thing = make()
        self._things[key] = thing
        self._drop()
        return thing

    def _drop(self) -> None:
        total = sum(thing.nbytes for thing in self._things.values())
        while total > self.most and len(self._things) > 1:
            total -= self._things.pop(next(iter(self._things))).nbytes

    @property
    def nbytes(self) -> int:
        """The bytes of all things."""
        return sum(thing.nbytes for thing in self._things.values())
