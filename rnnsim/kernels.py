"""Kernels: plain functions that Numba compiles, composed by closing over one another.

A kernel is an ordinary Python function. A factory returns kernels that close over the kernels that
it was given (an activation inside a network's ``forward`` inside the loop), and :func:`compiled`
turns the outermost one into machine code, everything inside inlined. Nothing here is imported by
Numba, and Numba is imported only when something is compiled, so that listing rules stays quick.

:func:`fingerprint` reads a kernel's bytecode and whatever it refers to, which serves the cache on
disk and functions without a source file (lambdas, notebooks) alike.
"""

from __future__ import annotations

import hashlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from rnnsim.errors import RnnsimError

F = TypeVar("F", bound=Callable[..., Any])


class Traits(NamedTuple):
    """What a kernel says of itself (:func:`kernel`)."""

    allocates: bool = True
    reassociates: bool = True
    parallel: bool = False
    inlined: bool = True
    inlines_all: bool = False


# Sums may be reordered and fused, so that they vectorise. Never nnan or ninf: with those the compiler
# deletes the checks that notice a run that diverges.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
    "no_cfunc_wrapper": True,
}

# Packages whose functions Numba knows by itself; their versions stand for their content.
_KNOWN = {"numpy", "numba", "scipy", "math", "builtins", "cmath", "operator"}

_compiled: dict[str, Callable[..., Any]] = {}  # by fingerprint: the same code may be composed again
_registered: dict[Callable[..., Any], Any] = {}  # inner kernels, as Numba calls them


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(
    *,
    allocates: bool = True,
    reassociates: bool = True,
    parallel: bool = False,
    inlined: bool = True,
    inlines_all: bool = False,
) -> Callable[[F], F]: ...
def kernel(
    function: F | None = None,
    *,
    allocates: bool = True,
    reassociates: bool = True,
    parallel: bool = False,
    inlined: bool = True,
    inlines_all: bool = False,
) -> F | Callable[[F], F]:
    """Mark a function as one that Numba compiles: it may use only what Numba knows.

    Parameters
    ----------
    allocates : bool
        False promises that the kernel makes no array and returns none (views within it are fine).
        Numba then counts no references in it, which saves some tens of nanoseconds for each array
        that it touches; it refuses to compile an allocation, saying ``NRT required``. Where it is
        called, it is inlined: a trajectory has a hundred numbers to pass on otherwise.
    reassociates : bool
        False keeps sums in the order in which they are written, for arithmetic that relies on how they
        are rounded.
    parallel : bool
        True shares the iterations of its :func:`prange` loops between the cores.
    inlined : bool
        False has one copy of it, called from everywhere: for what is long beside a call.
    inlines_all : bool
        True has everything that it calls inlined, however long: for a kernel that is tailored to sizes
        (:mod:`rnnsim.tailoring`), of an outermost one.
    """

    def mark(function: F) -> F:
        function.__kernel__ = Traits(  # type: ignore[attr-defined]
            allocates, reassociates, parallel, inlined, inlines_all
        )
        return function

    return mark if function is None else mark(function)


def native(code: Callable[..., Any]) -> Callable[[F], F]:
    """Mark a function of which Numba is told how to do it otherwise than it is written.

    ``code`` is what ``numba.extending.intrinsic`` wants. As written it runs where ``NUMBA_DISABLE_JIT``
    is set.
    """

    def mark(function: F) -> F:
        function.__native__ = code  # type: ignore[attr-defined]
        return function

    return mark


def prange(*bounds: int) -> range:
    """A range whose steps the cores share, in a kernel that is ``parallel``; a range elsewhere.

    Numba wants its own object of this name, and is not imported before something is compiled.
    """
    return range(*bounds)


def compiled(function: Callable[..., Any], owner: str = "") -> Callable[..., Any]:
    """Compile a kernel and all that it calls, or take it from the cache on disk.

    Parameters
    ----------
    function : Callable
        The outermost kernel. It is compiled for each set of argument types that it is called with.
    owner : str
        Whose kernel it is (a rule's, a task's), for those who look at the cache.

    Returns
    -------
    Callable
        The compiled kernel; the function itself where ``NUMBA_DISABLE_JIT`` is set.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    key = fingerprint(function)
    if key not in _compiled:
        _compiled[key] = _compile(function, key, owner)
    return _compiled[key]


def _compile(function: Callable[..., Any], key: str, owner: str) -> Callable[..., Any]:
    import numba

    from rnnsim.cache import KernelCache
    from rnnsim.linking import InOnePiece, Outermost, make_callable, make_native

    for inner in _functions(function):
        if prange.__name__ in inner.__code__.co_names:
            inner.__globals__[prange.__name__] = numba.prange
        if inner is not function and inner not in _registered:
            code = getattr(inner, "__native__", None)
            options = _inner_options(inner)
            _registered[inner] = make_native(inner, code) if code else make_callable(inner, options)
    pipeline = InOnePiece if _traits(function).inlines_all else Outermost
    dispatcher = numba.njit(**OPTIONS, pipeline_class=pipeline)(function)
    dispatcher._cache = KernelCache(owner, function.__name__, key, not _reaches_compiled(function))

    def call(*arguments: Any) -> Any:
        try:
            return dispatcher(*arguments)
        except numba.core.errors.NumbaError as error:
            raise RnnsimError(_cause(str(error))) from error

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


def _reaches_compiled(function: Callable[..., Any]) -> bool:
    """Whether a kernel calls a user's own @njit function that has been compiled already."""
    return any(
        getattr(value, "signatures", None)
        for inner in _functions(function)
        for _, value in _references(inner)
    )


def _cause(message: str) -> str:
    """Find the cause in Numba's message, which has a paragraph for each function on the way."""
    innermost = message.split("Failed in nopython mode pipeline")[-1]
    lines = [line.strip() for line in innermost.splitlines()[1:] if line.strip()]
    place = re.search(r'File "([^"]+)", line (\d+)', innermost)
    where = f" ({Path(place[1]).name}, line {place[2]})" if place else ""
    return f"Numba cannot compile a function{where}: {lines[0] if lines else message.strip()}"


def _traits(function: Callable[..., Any]) -> Traits:
    return getattr(function, "__kernel__", Traits())


def _inner_options(function: Callable[..., Any]) -> dict[str, Any]:
    """A kernel that other kernels call needs no entry for Python, and perhaps no counting."""
    traits = _traits(function)
    options = {
        **OPTIONS,
        "no_cpython_wrapper": True,
        "_nrt": traits.allocates,
        "forceinline": traits.inlined and not traits.allocates and not traits.parallel,
    }
    if not traits.reassociates:
        options["fastmath"] = OPTIONS["fastmath"] - {"reassoc"}
    if traits.parallel:
        options["parallel"] = True
    return options


def fingerprint(function: Callable[..., Any]) -> str:
    """Hash everything that a kernel's machine code depends on, but for the argument types.

    That is the bytecode and the constants of the function and of every function that it reaches
    through its closure and its globals, the values of the other things that it reaches, and the
    versions of Python, NumPy, rnnsim's compiler options and the way it links.
    """
    digest = hashlib.sha256(repr((sys.version_info[:3], np.__version__)).encode())
    digest.update(_linking())
    digest.update(_options_content(OPTIONS).encode())
    order: dict[int, int] = {}
    for inner in _functions(function):
        order[id(inner)] = len(order)
    for inner in _functions(function):
        digest.update(_content(inner, order).encode())
        digest.update(f"{_traits(inner)} {_options_content(_inner_options(inner))}".encode())
    return digest.hexdigest()


def _content(function: types.FunctionType, order: dict[int, int]) -> str:
    """A function's code, and the values that it refers to."""
    values = [f"{name}={_value_content(value, order)}" for name, value in _references(function)]
    return ";".join((repr(_code_content(function.__code__)), *values))


def _options_content(options: dict[str, Any]) -> str:
    """Options of the compiler, always in the same order."""
    return repr(sorted((k, repr(sorted(v) if isinstance(v, set) else v)) for k, v in options.items()))


@lru_cache(maxsize=1)
def _linking() -> bytes:
    """How kernels become one: a part of what machine code depends on."""
    return Path(__file__).with_name("linking.py").read_bytes()


def _functions(root: Callable[..., Any]) -> Iterator[types.FunctionType]:
    """Walk the functions that a kernel reaches, itself first, each once, in a fixed order."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        function = _plain(waiting.pop(0))
        if isinstance(function, type) and not issubclass(function, tuple | Enum):  # of native code
            waiting.extend(_methods(function))
        if not isinstance(function, types.FunctionType) or id(function) in seen:
            continue
        if function.__module__ and function.__module__.split(".")[0] in _KNOWN:
            continue
        seen.add(id(function))
        yield function
        waiting.extend(value for _, value in _references(function) if callable(value))
        if hasattr(function, "__native__"):  # the code that it is
            waiting.append(function.__native__)


def _methods(kind: type) -> list[Callable[..., Any]]:
    """The functions that a class of ours, or of a plugin's, is made of."""
    if kind.__module__.split(".")[0] in _KNOWN:
        return []
    return [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]


def _plain(value: Any) -> Any:
    """The function inside a user's own @njit or @vectorize'd one; anything else as it is."""
    return getattr(getattr(value, "_dispatcher", value), "py_func", value)


def _references(function: types.FunctionType) -> list[tuple[str, Any]]:
    """List what a function reaches by name: its closure, its globals, its defaults."""
    names = sorted(_names(function.__code__))
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    reached = [(name, cell.cell_contents) for name, cell in cells]
    reached += [(name, function.__globals__[name]) for name in names if name in function.__globals__]
    reached.append(("defaults", function.__defaults__ or ()))
    reached += sorted((function.__kwdefaults__ or {}).items())
    return [part for name, value in reached for part in _parts(name, value, names, ())]


def _parts(
    name: str, value: Any, names: list[str], within: tuple[Any, ...]
) -> Iterator[tuple[str, Any]]:
    """Take tuples apart, and modules, of which a function reaches only what it has the name of."""
    if name == prange.__name__:  # ours or Numba's: see there
        return
    if isinstance(value, tuple):
        yield name, type(value)
        for i, part in enumerate(value):
            yield from _parts(f"{name}[{i}]", part, names, within)
    elif isinstance(value, types.ModuleType):
        if value in within or value.__name__.split(".")[0] in _KNOWN:
            return
        for attribute in names:
            if hasattr(value, attribute):
                part = getattr(value, attribute)
                yield from _parts(f"{name}.{attribute}", part, names, (*within, value))
    else:
        yield name, value


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*inner)


def _code_content(code: types.CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _code_content(const) if isinstance(const, types.CodeType) else repr(const)
        for const in code.co_consts
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _value_content(value: Any, order: dict[int, int]) -> str:
    function = _plain(value)
    if id(function) in order:
        options = getattr(value, "targetoptions", {})  # of a user's own @njit
        return f"function {order[id(function)]} {sorted(options.items(), key=str)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        members = {name: member.value for name, member in getattr(value, "__members__", {}).items()}
        return f"{value.__module__}.{value.__qualname__}{getattr(value, '_fields', '')}{members}"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc):
        return f"{value.__module__ if hasattr(value, '__module__') else ''}.{value.__name__}"
    return repr(value)
