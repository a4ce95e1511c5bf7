"""What each column is for: an input, a target, the time, a sequence's name, or left out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Roles(NamedTuple):
    """The columns by what they are for.

    Attributes
    ----------
    inputs, targets : tuple of str
        Their names.
    time, sequence : str or None
        The column that tells when a row was, and the one whose value tells its sequence.
    left_out : mapping of str to str
        Why each of the others is not used.
    classes : bool
        Whether the target is to be classified.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    time: str | None = None
    sequence: str | None = None
    left_out: Mapping[str, str] = {}
    classes: bool = False
