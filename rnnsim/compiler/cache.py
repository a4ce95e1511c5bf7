"""A cache of machine code on disk, shared by processes.

Numba's own cache checks the file of the entry point only and goes stale when a helper in another file
is edited. Here the name of a cache file is the hash of everything that its content depends on: the code
(:mod:`rnnsim.compiler.fingerprint`), the argument types, the packages that compile it, their settings
and the processor. So a file is either valid or not found, and concurrent processes write the same
content. A file begins with its hash, so that it is taken for no other.
:mod:`rnnsim.compiler.kernel_files` reads and writes the files.
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
from numba.core.environment import Environment
from numba.core.funcdesc import FunctionDescriptor
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps
from numba.core.typing.templates import Signature

from rnnsim import version
from rnnsim.compiler import kernel_files
from rnnsim.compiler.listeners import tell
from rnnsim.compiler.machine import VECTOR

# Settings of Numba without influence on machine code, or on another processor's; the processor is in the
# key anyway. All others count: a needless miss costs only time.
_INDIFFERENT = ("CACHE_", "COLOR_", "CPU_", "CUDA_", "DISABLE_JIT", "NUMBA_", "THREADING_")

_NAMED: Any = types.BaseNamedTuple
_TUPLE: Any = types.BaseTuple


class KernelCache(_Cache):
    """The cache object of a Numba dispatcher.

    Parameters
    ----------
    owner : str
        The rule or task that the kernel belongs to.
    name : str
        The name of the kernel.
    key : str
        Its fingerprint.
    """

    def __init__(self, owner: str, name: str, key: str) -> None:
        self._owner = owner or name
        self._name = f"{owner}.{name}" if owner else name
        self._key = key
        self._enabled = True
        kernel_files.max_bytes()  # raises on a bad setting before anything is compiled

    @property
    def cache_path(self) -> str:
        return str(kernel_files.folder())

    def _hash(self, signature: Any, codegen: Any) -> str:
        # magic_tuple: the target triple, the processor's name and its features
        content = (self._key, describe(signature), codegen.magic_tuple(), versions(), settings())
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Load the code for these argument types; None if it has to be compiled."""
        found = self._load(signature, target_context) if self._enabled else None
        if found is None:
            tell(self._owner, self._enabled)
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        digest = self._hash(signature, target_context.codegen())
        content = kernel_files.read(kernel_files.path_of(self._name, digest))
        if content is None or not content.startswith(digest.encode()):
            return None
        _prepare(target_context)
        try:
            payload = pickle.loads(memoryview(content)[len(digest) :])
            if not is_sound(payload, signature):
                return None
            return compiler.CompileResult._rebuild(target_context, *payload)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001 (whatever is odd in a file, the kernel is compiled anew)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Write the compiled code; an unwritable folder is no error."""
        if not self._enabled or any(not lifted.can_cache for lifted in data.lifted):
            return
        if data.library.has_dynamic_globals:  # addresses in this process, of a large global array
            return
        digest = self._hash(signature, data.codegen)
        content = dumps(data._reduce())  # type: ignore[no-untyped-call]
        kernel_files.write(kernel_files.path_of(self._name, digest), digest.encode() + content)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Do nothing: an outdated file is never found."""


def is_sound(payload: Any, signature: Any) -> bool:
    """Whether this is what ``_reduce`` gives for code of these argument types; LLVM crashes on less.

    What is in the machine code is not looked at: the checksum of the file vouches for it.
    """
    match payload:
        case (
            (str(), "object", (bytes() as code, bytes() as bitcode)),
            FunctionDescriptor() as function,
            Environment(),
            Signature() as found,
            False,
            tuple() | list(),
            str(),
            tuple() | list(),
            tuple() | list() as environments,
        ):
            names = [function.llvm_func_name, function.llvm_cpython_wrapper_name]
            return (
                tuple(found.args) == tuple(signature)
                and all(isinstance(environment, Environment) for environment in environments)
                and all(name.encode() in code and name.encode() in bitcode for name in names)
            )
    return False


def _prepare(target_context: Any) -> None:
    """Initialise what loaded machine code is linked to: NRT, and the key of Python's hashes.

    Numba's own cache calls ``target_context.refresh()``, which imports all of the compiler and takes
    longer than everything else that a run does before its first step.
    """
    import numba.cpython.hashing  # noqa: F401

    rtsys.initialize(target_context)


def describe(signature: Any) -> str:
    """Describe argument types; Numba's repr of a named tuple omits its fields and module."""
    if isinstance(signature, _NAMED):
        of = signature.instance_class
        fields = ", ".join(f"{name}={describe(t)}" for name, t in zip(signature.fields, signature))
        return f"{of.__module__}.{of.__qualname__}({fields})"
    if isinstance(signature, (tuple, _TUPLE)):
        return f"({', '.join(map(describe, signature))})"
    return repr(signature)


def versions() -> tuple[str, ...]:
    """The versions of everything that generates machine code or is linked to it."""
    packages = (numba, llvmlite, np, scipy)  # scipy: the BLAS, with 32- or 64-bit integers
    return (sys.version, version.__version__, *(package.__version__ for package in packages))


def settings() -> tuple[tuple[str, str], ...]:
    """Numba's settings: bounds checks, the optimisation level, SVML, ...; and the width of vectors."""
    names = (name for name in sorted(vars(config)) if name.isupper())
    counting = (name for name in names if not name.startswith(_INDIFFERENT))
    return (("VECTOR", str(VECTOR)), *((name, repr(getattr(config, name))) for name in counting))
