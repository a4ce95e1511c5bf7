"""Machine code on disk, so that a kernel is compiled once and not once a process.

Numba's own cache looks at the file of the outermost function alone and goes stale when a helper in
another file is edited. Here the name of a file *is* the hash of everything that its content depends
on (:func:`rnnsim.kernels.fingerprint`, the argument types, Numba and the processor), so a file is
either right or not found, and processes that fill the cache together can only write the same thing.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import compiler
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import _Cache
from numba.core.serialize import dumps

_CHECKSUM = 32  # bytes at the beginning of a file: the hash of what follows


def _is_whole(content: bytes) -> bool:
    """Whether a file is as it was written; LLVM can do anything with one that is not."""
    return hashlib.sha256(content[_CHECKSUM:]).digest() == content[:_CHECKSUM]


def folder() -> Path:
    """The folder of the cache: ``$RNNSIM_CACHE_DIR``, or the user's own cache folder."""
    if chosen := os.environ.get("RNNSIM_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rnnsim"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "rnnsim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnsim"


# Numba numbers the functions that it compiles, from 1 on in each process, and in machine code that
# number alone tells functions of one name apart: two closures of one factory, say. Two processes give
# one number to different functions, and code of both, loaded into a third, is linked to whichever came
# first: a quietly wrong result (tests/test_cache.py shows it). So each process starts somewhere else.
if hasattr(FunctionIdentity, "_unique_ids"):
    FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "big"))
    SEPARATE = True
else:  # a Numba that numbers otherwise: better no cache than a wrong one
    SEPARATE = False

listeners: list[Callable[[str], None]] = []  # told the name of each kernel that is to be compiled


class KernelCache(_Cache):
    """What a Numba dispatcher asks for compiled code and gives it to.

    Parameters
    ----------
    function : Callable
        The kernel, for its name.
    key : str
        The fingerprint of the kernel and of all that it calls.
    cacheable : bool
        False where it calls what was compiled, and numbered, elsewhere.
    """

    def __init__(self, function: Callable[..., Any], key: str, cacheable: bool = True) -> None:
        self._name = function.__name__
        self._key = key
        self._enabled = SEPARATE and cacheable

    @property
    def cache_path(self) -> str:
        return str(folder())

    def _path(self, signature: Any, codegen: Any) -> Path:
        # magic_tuple: the target triple, the processor's name and its features
        content = (self._key, repr(signature), codegen.magic_tuple(), numba.__version__)
        digest = hashlib.sha256(repr(content).encode()).hexdigest()
        return folder() / f"{self._name}-{digest[:40]}.py{sys.version_info[0]}{sys.version_info[1]}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Give the compiled code for these argument types, or None: it is then compiled."""
        found = self._load(signature, target_context)
        if found is None:
            for listener in listeners:
                listener(self._name)
        return found

    def _load(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        if not self._enabled:
            return None
        path = self._path(signature, target_context.codegen())
        try:
            content = path.read_bytes()
            if not _is_whole(content):
                return None
            payload = pickle.loads(content[_CHECKSUM:])
        except (OSError, EOFError, pickle.UnpicklingError, AttributeError, ImportError):
            return None
        return compiler.CompileResult._rebuild(target_context, *payload)  # type: ignore[no-untyped-call]

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep the compiled code; a folder that cannot be written to costs time, not an error."""
        if not self._enabled or any(not lifted.can_cache for lifted in data.lifted):
            return
        content = dumps(data._reduce())  # type: ignore[no-untyped-call]
        checksum = hashlib.sha256(content).digest()
        path = self._path(signature, data.codegen)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
            with os.fdopen(handle, "wb") as file:
                file.write(checksum + content)
            os.replace(draft, path)  # whole or not at all, whoever else writes

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing to do: a file that no longer fits is never found."""
