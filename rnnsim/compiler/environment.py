"""Settings of the compiler in the environment: what it cannot use is an error that names the variable.

By itself Numba reports them in many ways: by a warning of several lines, by exceptions of several kinds
when it is imported or when its threads start, or by ending the process.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rnnsim.compiler.explaining import VERBOSE
from rnnsim.compiler.machine import BITS
from rnnsim.errors import RnnsimError, described, shown

MOST_THREADS = 1024  # the operating system may end a process that starts more
LAYERS = ("tbb", "omp", "workqueue")
LEVELS = ("0", "1", "2", "3", "max")


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_THREADS


# Of each variable: what is wanted, in words, and whether a text is that.
SETTINGS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "NUMBA_NUM_THREADS": (f"a whole number from 1 to {MOST_THREADS}", _is_count),
    BITS: ("256 or 512", ("256", "512").__contains__),
    VERBOSE: ("0 or 1", ("0", "1").__contains__),
    "NUMBA_OPT": (f"one of {', '.join(LEVELS)}", LEVELS.__contains__),
    "NUMBA_THREADING_LAYER": (
        f"one of {', '.join(LAYERS)}, default, safe, forksafe, threadsafe",
        lambda text: text.lower() in (*LAYERS, "default", "safe", "forksafe", "threadsafe"),
    ),
    "NUMBA_THREADING_LAYER_PRIORITY": (
        f"{' '.join(LAYERS)}, in any order",
        lambda text: sorted(text.split()) == sorted(LAYERS),
    ),
}


def load_numba() -> None:
    """Import Numba and start its threads, whose symbols machine code refers to.

    Raises
    ------
    RnnsimError
        If a setting in the environment cannot be used.
    """
    for name, (wanted, fits) in SETTINGS.items():
        text = os.environ.get(name, "")
        if text and not fits(text):
            raise RnnsimError(f"{name} is {shown(text)} in the environment; it is {wanted}")
    if "numba" not in sys.modules:
        _import_numba()
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return
    try:
        numba.get_num_threads()
    except (ValueError, RuntimeError, ImportError) as error:
        chosen = os.environ.get("NUMBA_THREADING_LAYER", "default")
        raise RnnsimError(
            f"Numba's threads cannot be started with NUMBA_THREADING_LAYER={chosen}; if it is unset, "
            f"Numba takes what there is ({described(error)})"
        ) from None


def is_uncompiled() -> bool:
    """Whether kernels run as the plain Python that they are (``NUMBA_DISABLE_JIT``)."""
    import numba

    return bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run kernels as the plain Python that they are, in all threads, where compiling is not worth it."""
    load_numba()
    from numba import config

    before = config.DISABLE_JIT  # type: ignore[attr-defined]
    config.DISABLE_JIT = 1  # type: ignore[attr-defined]
    try:
        yield
    finally:
        config.DISABLE_JIT = before  # type: ignore[attr-defined]


def _import_numba() -> None:
    """Import Numba; its warning about a setting that it cannot read becomes an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import numba  # noqa: F401
        except Exception as error:
            raise RnnsimError(f"Numba cannot be imported: {described(error)}") from error
    for warning in caught:
        first = str(warning.message).partition("\n")[0]
        if first.startswith("Environment variable"):
            raise RnnsimError(f"{first} It is a whole number, as a rule; unset it if in doubt.")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
