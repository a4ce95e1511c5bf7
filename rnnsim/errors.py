"""The errors that rnnsim raises. Messages say, in a line or two, what is wrong and what is expected."""

from __future__ import annotations

import difflib
import errno
import inspect
import os
import reprlib
import traceback
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CLOSE = 0.65  # similarity from which a name is suggested: one letter wrong in three
PART = 3  # letters from which a part of a name is suggested for it
WIDTH = 70  # characters of a value in a message
TOO_LARGE = ("array is too big", "Maximum allowed dimension exceeded")  # NumPy's, for any machine


class RnnsimError(ValueError):
    """An argument cannot be used; the message says what is expected."""


class UnknownName(RnnsimError):
    """No rule, task, option or column has this name; the message lists the nearest."""


class NotEnoughMemory(RnnsimError, MemoryError):
    """Arrays of the sizes that were asked for cannot be allocated."""


class NoSteadyState(RnnsimError):
    """The network, or its adjoint, did not settle; the message names the residual."""


class Diverged(RnnsimError):
    """A loss, a gradient or a parameter is not finite; the message names the step."""


class RnnsimWarning(UserWarning):
    """The result is right, but something about it should be known."""


def nearest(kind: str, name: object, known: Iterable[str]) -> str:
    """Give a message that nothing has this name, with the names that are near, or else all of them.

    >>> nearest("rule", "btpp", ["bptt", "rtrl"])
    "no rule is called 'btpp'; did you mean bptt?"
    """
    names = sorted(known)
    if isinstance(name, str) and (close := _near(name, names)):
        return f"no {kind} is called {name!r}; did you mean {' or '.join(close)}?"
    return f"no {kind} is called {shown(name)}; there are {', '.join(names) or 'none'}"


def _near(name: str, names: Collection[str]) -> list[str]:
    """At most three names of nearly the same spelling, of the same letters, or that have this as a part.

    What is swapped or doubled in a short name makes it rather different by the usual measure.
    """
    given = name.casefold()
    by_letters = [known for known in names if set(known.casefold()) == set(given)]
    by_part = [known for known in names if len(given) >= PART and given in known.casefold()]
    spelt = {known.casefold(): known for known in names}
    if given in spelt:
        return [spelt[given]]
    by_spelling = [spelt[known] for known in difflib.get_close_matches(given, spelt, cutoff=CLOSE)]
    return sorted([*dict.fromkeys([*by_spelling, *by_letters, *by_part])][:3])


def shown(value: object) -> str:
    """Write a value for a message: in one line that is not too long, whatever the value is.

    >>> shown([[1.0] * 100] * 100)
    '[[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, ...], [1.0, 1.0, 1.0, 1.0, 1.0, ...]...'
    """
    short = reprlib.Repr()
    short.maxstring = short.maxother = WIDTH
    try:
        text = " ".join(short.repr(value).split())
    except Exception:  # noqa: BLE001 (of a user's class, or an int of thousands of digits)
        text = f"of type {type(value).__name__}"
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def called(function: object) -> str:
    """The name of a function for a message, or that of the class of something else that is called."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) and name.isprintable() else type(function).__name__


def described(error: BaseException) -> str:
    """Give the class and the message of an exception, in one line."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # noqa: BLE001 (of a plugin's exception)
        return type(error).__name__


def shown_path(path: object) -> str:
    """Write a path for a message: as it is, unless that would not be a line that can be read."""
    text = str(path)
    return text if text.isprintable() and text else repr(text)


def file_of(thing: Any) -> str:
    """The file that a module, a class or a function is written in; empty if it is in none."""
    try:
        return inspect.getsourcefile(inspect.unwrap(thing) if callable(thing) else thing) or ""
    except (TypeError, ValueError, OSError):  # typed in interactively, or no such thing
        return ""


def place_of(thing: Any, error: BaseException | None = None) -> str:
    """Write the file of a thing for a message, in brackets: `` (file)``; nothing if it has none.

    Parameters
    ----------
    thing : module, class, function or str
        Or the file itself; an ``__init__.py`` stands for all files of its folder.
    error : BaseException, optional
        What its code raised: the last line of the file that was reached is named too.
    """
    file = thing if isinstance(thing, str) else file_of(thing)
    if not file:
        return ""
    frames = traceback.extract_tb(error.__traceback__ if error is not None else None)
    reached = [(frame.filename, frame.lineno) for frame in frames]
    if isinstance(error, SyntaxError):
        reached.append((error.filename or "", error.lineno))
    folder = file.removesuffix("__init__.py")
    own = [at for at in reached if at[0] == file or (folder != file and at[0].startswith(folder))]
    if not own:
        return f" ({shown_path(file)})"
    return f" ({shown_path(own[-1][0])}, line {own[-1][1]})"


def reports_memory(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise :class:`NotEnoughMemory` for arrays that cannot be allocated.

    A decorator. Depending on the size, an allocation that fails is a MemoryError of NumPy or Numba, an
    OSError of mmap, or an error about a number that is too large.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except RnnsimError:
            raise
        except (MemoryError, OSError, OverflowError, ValueError) as error:
            if not lacks_memory(error):
                raise
            raise NotEnoughMemory(memory_message(error)) from None

    return call


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception means that an array is too large to be allocated."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or str(error).startswith(TOO_LARGE)


def memory_message(error: BaseException) -> str:
    """Give the message for an array that cannot be allocated."""
    what = os.strerror(errno.ENOMEM) if isinstance(error, OSError) else str(error).rstrip(".")
    return f"not enough memory: {what or 'an array cannot be allocated'}; smaller sizes need less"
