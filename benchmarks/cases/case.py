"""What a case of the side-by-side benchmark is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.entries import Entries

# Of the answers, relative to the largest number of each array. With the order of its terms, a sum of
# ten thousand products differs by about the root of that many roundings: 100 times 6e-8 in float32, of
# which up to 3e-6 is seen. Three times as much is allowed.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


class Case(ABC):
    """The same work in several libraries; each has a method that gives its entries.

    Attributes
    ----------
    name : str
        Its own; ``--case`` chooses by parts of it.
    family : str
        The cases whose ratios have a common bar.
    unit : str
        What times are per.
    libraries : tuple of str
        Names of the methods.
    tolerance : float
        How far the answers may differ.
    bars : mapping
        By group that counts: the ratio that is wanted at least, or None.
    ceilings : mapping
        By group that is a yardstick: how many times its time rnnsim may take at most.
    """

    family: ClassVar[str]
    unit: ClassVar[str] = "step"
    libraries: ClassVar[tuple[str, ...]] = ("rnnsim", "jax")

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def tolerance(self) -> float:
        return TOLERANCE["float64"]

    @property
    @abstractmethod
    def bars(self) -> Mapping[str, float | None]: ...

    @property
    def ceilings(self) -> Mapping[str, float]:
        return {}

    @abstractmethod
    def rnnsim(self) -> Entries: ...

    @abstractmethod
    def jax(self) -> Entries: ...
