"""The units that the side-by-side benchmark times: entries, in groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

OURS = "rnnsim"  # the group that the others are compared to

Answer = Mapping[str, np.ndarray]


class Entry(NamedTuple):
    """One way to do a case's work."""

    label: str
    answer: Callable[[], Answer] | None  # result on which all entries must agree; a yardstick has none
    work: Callable[[], int]  # the timed work; returns the number of units (steps, gradients) done


Entries = dict[str, list[Entry]]  # by group; the fastest entry of a group counts
