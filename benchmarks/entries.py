"""What the side-by-side benchmark times: entries, in groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

OURS = "rnnsim"  # the group that the others are compared with

Answer = Mapping[str, np.ndarray]


class Entry(NamedTuple):
    """One way to do a case's work."""

    label: str
    answer: Callable[[], Answer] | None  # what all entries must agree on; a yardstick has none
    work: Callable[[], int]  # the timed work: how many units (steps, gradients) were done


Entries = dict[str, list[Entry]]  # by group; the fastest of a group counts
