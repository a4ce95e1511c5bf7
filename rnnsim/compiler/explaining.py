"""What Numba says of a kernel that it cannot compile, in a few lines that name its author's own.

Numba's text has a paragraph for each caller, and types that fill a screen. What is kept is the innermost
cause, the line that it shows in, and from where its author's own lines call that.
``RNNSIM_VERBOSE=1`` shows the whole text too.
"""

from __future__ import annotations

import dis
import linecache
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim.errors import RnnsimError, described, shown_path

VERBOSE = "RNNSIM_VERBOSE"
WIDTH = 300  # characters of a cause, or of a line of source
MOST = 3  # lines of source
CORE = Path(__file__).parents[1]
PLUGINS = tuple(f"{CORE.name}_{kind}" for kind in ("rules", "tasks", "networks"))  # rnnsim's own
INNERMOST = "Failed in nopython mode pipeline"  # before the cause, once for each caller
FUNCTION = "rnnsim_function"  # of an exception: the function that could not be compiled

Function = Callable[..., Any]


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.line).strip()
        return f"{shown_path(self.file)}, line {self.line}: {_cut(source)}"

    @property
    def is_authors(self) -> bool:
        """Whether it is neither of this package, nor of its plugins, nor of Numba."""
        path = Path(self.file)
        return not (path.is_relative_to(CORE) or path.parent.name in PLUGINS or "numba" in path.parts)


def is_verbose() -> bool:
    """Whether all that Numba says is wanted."""
    return os.environ.get(VERBOSE, "0") not in ("", "0")


def note_function(error: Exception, function: Function) -> None:
    """Note on an exception which function could not be compiled: the innermost, which is the first."""
    if not hasattr(error, FUNCTION):
        setattr(error, FUNCTION, function)


def is_of_author(error: Exception) -> bool:
    """Whether an exception comes from a function that is not of this package."""
    function = getattr(error, FUNCTION, None)
    return function is not None and _place_in(function, "").is_authors


def explained(
    error: Exception,
    owner: str,
    functions: Iterable[Function],
    classes: Iterable[type],
    arguments: Iterable[Any],
) -> RnnsimError:
    """The error for what Numba raised when it compiled a kernel.

    Parameters
    ----------
    error : Exception
    owner : str
        The rule or task that the kernel belongs to.
    functions : iterable of functions
        Those that the kernel reaches.
    classes : iterable of types
        Those that it refers to.
    arguments : iterable
        Of the kernel.
    """
    text = str(error)
    innermost = text.split(INNERMOST)[-1].partition("\n")[2] if INNERMOST in text else described(error)
    at_fault = _using_undefined(innermost, functions) or getattr(error, FUNCTION, None)
    places = _shown(list(_places(innermost, at_fault)))
    cause = _cause(innermost, {*classes, *_classes_of(arguments)}, str(places[0]) if places else "")
    lines = [f"Numba cannot compile a kernel{f' of {owner}' if owner else ''}: {cause}"]
    lines += [f"  {'called in' if i else 'in'} {place}" for i, place in enumerate(places)]
    lines.append(text if is_verbose() else f"all that Numba says: --verbose, or {VERBOSE}=1")
    return RnnsimError("\n".join(lines))


# --- where ---


def _places(innermost: str, function: Function | None) -> Iterator[Place]:
    """The lines that a text names, from the innermost to its callers.

    Of a name that is not defined, or what it refuses before it looks at types, Numba names no line.
    """
    own, _, callers = innermost.partition("resolving callee type: ")
    named = re.findall(r'File "([^"]+)", line (\d+)|Raised from (\S+) \((\d+)\)', own)
    if not named and function is not None and "Cannot bind" not in own:
        yield _place_in(function, own)
    for file, line in [(a or c, b or d) for a, b, c, d in named] + re.findall(
        r'File "([^"]+)", line (\d+)', callers
    ):
        yield Place(os.path.abspath(file), int(line))  # they are relative to the working directory


def _using_undefined(cause: str, functions: Iterable[Function]) -> Function | None:
    """The function that uses the name of a NameError: it is in no place that Numba names."""
    found = re.match(r"NameError: name '(\w+)'", cause)
    name = found[1] if found else ""
    for function in functions if found else ():
        if name in function.__code__.co_names and name not in function.__globals__:
            return function
    return None


def _place_in(function: Function, cause: str) -> Place:
    """The line of a function that uses a name which is quoted in a cause, or else its first line."""
    code = function.__code__
    for name in re.findall(r"'(\w+)'", cause):
        for instruction in dis.get_instructions(code):
            place = instruction.positions
            if instruction.argval == name and place is not None and place.lineno is not None:
                return Place(code.co_filename, place.lineno)
    return Place(code.co_filename, code.co_firstlineno)


def _shown(places: list[Place]) -> list[Place]:
    """The innermost line, and those of its callers that are an author's: all else is ours."""
    several = dict.fromkeys(place for i, place in enumerate(places) if i == 0 or place.is_authors)
    return [*several][:MOST]


# --- why ---


def _cause(innermost: str, classes: Iterable[type], where: str) -> str:
    lines = [line.strip() for line in innermost.splitlines() if line.strip()]
    cause = lines[0] if lines else "it says nothing"
    called = re.search(r"<function [^ ]*?(\w+) at ", innermost)
    reasons = re.findall(r"raised a specific error:\s+(?:TypingError: )?(.+)", innermost)
    if absent := re.match(r"Unknown attribute '(\w+)' of type (\w+)\(", cause):
        cause = _no_field(absent[1], absent[2], classes, where) or cause
    elif called and (unlike := re.search(r'Cannot bind .* due to "(.+)"', cause)):
        cause = f"{called[1]} is called with other arguments than it takes: {unlike[1]}"
    elif "<function " in cause and called and len(reasons) == 1:  # native code has a single signature
        cause = f"{called[1]}: {reasons[0]}"
    elif cause.endswith(":") and len(lines) > 1:  # the call that has no signature
        cause = f"{cause} {lines[1]}"
    return _cut(re.sub(r"\.?\. Raised from .*", "", cause))


def _no_field(name: str, kind: str, classes: Iterable[type], where: str) -> str:
    """Say which fields a NamedTuple has instead; nothing if that is not known."""
    known = {each._fields for each in classes if each.__name__ == kind and hasattr(each, "_fields")}
    having = [fields for fields in known if name not in fields]
    if len(having) != 1:
        return ""
    written = re.search(rf"(\w+)\.{name}\b", where)
    return f"{written[1] if written else kind} has no {name}; there are {', '.join(having[0])}"


def _classes_of(values: Iterable[Any]) -> Iterator[type]:
    """The classes of the tuples among values, nested ones included."""
    for value in values:
        if isinstance(value, tuple):
            yield type(value)
            yield from _classes_of(value)


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
