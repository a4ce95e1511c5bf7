"""Results as plain data, and as strict JSON: what ``as_dict`` gives and ``--json`` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np


def plain(value: Any) -> Any:
    """Give a value as mappings, lists, numbers, text, booleans and None, which is all that JSON has.

    None stands for a number that is not finite; what JSON has nothing like is text.
    """
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return str(value)


def as_json(value: Any) -> str:
    """Format a value as one line of strict JSON."""
    return json.dumps(plain(value), allow_nan=False)
