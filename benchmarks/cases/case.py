"""The base class of the cases of the side-by-side benchmark."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.entries import Entries

# Tolerance of the answers, relative to the largest number of each array. The rounding of a sum of ten
# thousand products depends on the order of its terms, by about the square root of their number: 100
# times 6e-8 in float32, of which up to 3e-6 is observed. Three times as much is allowed.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


class Case(ABC):
    """The same work in several libraries, with a method for each library that returns its entries.

    Attributes
    ----------
    name : str
        The unique name of the case; ``--case`` selects by parts of it.
    family : str
        The name of a set of cases whose ratios may have a common bar.
    unit : str
        The unit of work that times are per.
    libraries : tuple of str
        Names of the libraries' methods.
    tolerance : float
        Maximum relative difference of the answers.
    bars : mapping
        For each group that counts, the minimum ratio that is wanted, or None.
    ceilings : mapping
        For each yardstick, the maximum of rnnsim's time over its own that is wanted.
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
