"""Values that an argument cannot have, by what the argument is; and what a good message looks like."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError

MOST_LINES, WIDEST = 2, 400
WHAT_IS_RIGHT = re.compile(
    r"\b(is|are|must|needs?|expected|give|did you mean|there are|takes?|cannot be read as|smaller)\b"
)


class Unhashable:
    """A callable that no kernel can be kept for, as it is not hashable."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, x: float) -> float:
        return x


class Shy:
    """An object that does not say what it is."""

    def __repr__(self) -> str:
        raise KeyError("no")


class Unreadable:
    """What fails when NumPy reads it."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("call detach() first,\nplease")


ITSELF: list[Any] = []
ITSELF.append(ITSELF)

ANYTHING: list[Any] = [[], {}, (), object(), Shy(), np.zeros(2), np.zeros((30, 30)), b"bytes", int]

WHOLE = [*ANYTHING, 1.5, "three", "", 1j, math.nan, -(10**30), -1, 10**30, 10**5000, np.float64(2)]
REAL = [*ANYTHING, "three", "", 1j, np.complex64(1), np.ma.masked, math.nan, math.inf, 10**400, 10**5000]
TRUTH = [*ANYTHING, 2, 1.0, "maybe", "", math.nan]
NAME = [*ANYTHING, 3, "xyzzy", "", "two\nlines", "\ud800", "nul\0", "x" * 10_000]
DTYPE = [
    *ANYTHING[:-1],
    "int8",
    "float16",
    ">f8",
    "<i4",
    "complex128",
    "float64,5",
    "xyzzy",
    "",
    3,
    object,
]
PATH = [*ANYTHING, 3, "", "nul\0", "\ud800"]
FUNCTIONS = [
    *ANYTHING, None, 3, ["tanh"], ("tanh",), (math.tanh,), (math.tanh, 3), ([], []),
    (Unhashable(), Unhashable()), math.tanh, "xyzzy", "",
]  # fmt: skip
NETWORK = [*ANYTHING, 3, "xyzzy", ""]
UNREAL = [  # what is no array of real numbers of any shape
    *ANYTHING[3:5], "text", b"bytes", {}, ITSELF, Unreadable(), int, ["a", "b"], [b"a"], [None],
    [[1.0], [1.0, 2.0]], [[10**400, 1]], [10**30], np.array(["a"]), np.array([1.0, 2.0], object),
    np.array([1 + 1j]), np.array([np.datetime64(0, "s")]), np.zeros(2, [("x", "f8")]),
]  # fmt: skip
MASKED = [
    np.ma.masked, np.ma.masked_greater(np.arange(6.0).reshape(3, 2), 4), [1.0, np.ma.masked],
]  # fmt: skip
ARRAY = [*UNREAL, *MASKED, [], (), 3.0, np.zeros(0), np.zeros((7, 7, 7, 7))]


def wrong_with(error: BaseException, *subjects: str) -> list[str]:
    """What is wrong with an error that should say in a line or two what is wrong, and what is right.

    Parameters
    ----------
    error : BaseException
    *subjects : str
        It names one of these.
    """
    if not isinstance(error, RnnsimError):
        return [f"it is no RnnsimError but {type(error).__name__}: {error}"]
    return wrong_with_text(str(error), *subjects)


def wrong_with_text(text: str, *subjects: str) -> list[str]:
    """The same of a message."""
    lines = text.splitlines()
    found = []
    if not 1 <= len(lines) <= MOST_LINES:
        found.append(f"it has {len(lines)} lines")
    if any(len(line) > WIDEST for line in lines):
        found.append("it has lines that are too long")
    if not all(line.isprintable() and line.strip() for line in lines):
        found.append("it has lines that cannot be read")
    if "Traceback" in text or "Error(" in text:
        found.append("it is a traceback")
    if not any(subject in text for subject in subjects):
        found.append(f"it does not name {' or '.join(subjects)}")
    if not WHAT_IS_RIGHT.search(text):
        found.append("it does not say what would be right")
    return [f"{what}: {text!r}" for what in found]
