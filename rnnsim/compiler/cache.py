"""Machine code on disk, so that a kernel is compiled once and not once a process.

Numba's own cache looks at the file of the outermost function alone and goes stale when a helper in
another file is edited. Here the name of a file *is* the hash of everything that its content depends
on: the code (:mod:`rnnsim.compiler.fingerprint`), the argument types, the packages that compile it,
their settings and the processor. So a file is either right or not found, and processes that fill the
cache together can only write the same thing. The files are those of :mod:`rnnsim.compiler.kernel_files`.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from typing import Any

import llvmlite
import numba
import numpy as np
import scipy
from numba.core import compiler, config, types
from numba.core.caching import _Cache
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from rnnsim import version
from rnnsim.compiler import kernel_files
from rnnsim.compiler.listeners import tell

# Settings of Numba that say nothing of machine code, or say it of another processor; the processor of
# this process has its own place in the key. All others count: to miss a file costs only time.
_INDIFFERENT = ("CACHE_", "COLOR_", "CPU_", "CUDA_", "DISABLE_JIT", "NUMBA_", "THREADING_")

_NAMED: Any = types.BaseNamedTuple
_TUPLE: Any = types.BaseTuple


class KernelCache(_Cache):
    """What a Numba dispatcher asks for compiled code and gives it to.

    Parameters
    ----------
    owner : str
        Whose kernel it is: a rule's, a task's.
    name : str
        What the kernel does.
    key : str
        The fingerprint of the kernel and of all that it calls.
    cacheable : bool
        False where it calls what was compiled, and numbered, elsewhere.
    """

    def __init__(self, owner: str, name: str, key: str, cacheable: bool = True) -> None:
        self._owner = owner or name
        self._name = f"{owner}.{name}" if owner else name
        self._key = key
        self._enabled = cacheable
        kernel_files.max_bytes()  # now, and not after the work

    @property
    def cache_path(self) -> str:
        return str(kernel_files.folder())

    def _path(self, signature: Any, codegen: Any) -> Any:
        # magic_tuple: the target triple, the processor's name and its features
        content = (self._key, describe(signature), codegen.magic_tuple(), versions(), settings())
        return kernel_files.path_of(self._name, hashlib.sha256(repr(content).encode()).hexdigest())

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Give the compiled code for these argument types, or None: it is then compiled."""
        found = self._load(signature, target_context) if self._enabled else None
        if found is None:
            tell(self._owner, self._enabled)
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        content = kernel_files.read(self._path(signature, target_context.codegen()))
        if content is None:
            return None
        try:
            payload = pickle.loads(content)
        except (EOFError, pickle.UnpicklingError, AttributeError, ImportError):
            return None
        _prepare(target_context)
        return compiler.CompileResult._rebuild(target_context, *payload)  # type: ignore[no-untyped-call]

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep the compiled code; a folder that cannot be written to costs time, not an error."""
        if not self._enabled or any(not lifted.can_cache for lifted in data.lifted):
            return
        if data.library.has_dynamic_globals:  # addresses of this process: a large array that it reaches
            return
        content = dumps(data._reduce())  # type: ignore[no-untyped-call]
        kernel_files.write(self._path(signature, data.codegen), content)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing to do: a file that no longer fits is never found."""


def _prepare(target_context: Any) -> None:
    """Make what loaded machine code is linked to: reference counting, and the secret of Python's hashes.

    Numba's own cache does it by ``target_context.refresh()``, which brings in all that a compiler needs
    to know, and takes longer than everything else that a run does before its first step.
    """
    import numba.cpython.hashing  # noqa: F401

    rtsys.initialize(target_context)


def describe(signature: Any) -> str:
    """Tell argument types apart; Numba's words for a named tuple leave its fields and its module out."""
    if isinstance(signature, _NAMED):
        of = signature.instance_class
        fields = ", ".join(f"{name}={describe(t)}" for name, t in zip(signature.fields, signature))
        return f"{of.__module__}.{of.__qualname__}({fields})"
    if isinstance(signature, (tuple, _TUPLE)):
        return f"({', '.join(map(describe, signature))})"
    return repr(signature)


def versions() -> tuple[str, ...]:
    """The versions of whatever has a part in making machine code or is linked to it."""
    packages = (numba, llvmlite, np, scipy)  # scipy: the BLAS, with 32- or 64-bit integers
    return (sys.version, version.__version__, *(package.__version__ for package in packages))


def settings() -> tuple[tuple[str, str], ...]:
    """The settings of Numba: bounds checks, the level of optimisation, SVML, ...."""
    names = (name for name in sorted(vars(config)) if name.isupper())
    counting = (name for name in names if not name.startswith(_INDIFFERENT))
    return tuple((name, repr(getattr(config, name))) for name in counting)
