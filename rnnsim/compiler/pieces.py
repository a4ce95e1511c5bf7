"""The pieces of the fast back end, each of which depends on private parts of Numba.

A piece does with private parts of Numba, or by emitting LLVM IR, what public Numba does more slowly or
not at all. Before the first compilation each piece is probed: does this Numba have every name that it
needs? If not, its plain form is used, and a line on standard error says so. ``RNNSIM_COMPILER=plain``
uses no piece.

The probe imports most of Numba's compiler, which a process that loads its kernels from the cache does
not need, so a successful probe is recorded beside the kernels.
"""

from __future__ import annotations

import hashlib
import os
import pkgutil
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

from rnnsim.compiler import kernel_files
from rnnsim.compiler.bounds import checked
from rnnsim.errors import RnnsimError
from rnnsim.version import __version__

CHOICE = "RNNSIM_COMPILER"
FAST, PLAIN = "fast", "plain"


class Piece(NamedTuple):
    """A part of the fast back end."""

    name: str
    otherwise: str  # what its plain form costs
    needs: tuple[str, ...]  # private names, "module:attribute"


def of(module: str, *names: str) -> tuple[str, ...]:
    """Private names of a module."""
    return tuple(f"{module}:{name}" for name in names)


LINKING = Piece(
    "linking",
    "kernels are compiled one by one, which takes about four times as long",
    (
        *of("llvmlite.binding", "parse_assembly"),
        *of("numba.core.codegen", "JITCodeLibrary._finalize_dynamic_globals"),
        *of("numba.core.codegen", "JITCodeLibrary._optimize_functions"),
        *of("numba.core.codegen", "JITCodeLibrary._optimize_final_module"),
        *of("numba.core.codegen", "JITCodeLibrary._ensure_finalized"),
        *of("numba.core.compiler", "Compiler.compile_extra"),
        *of("numba.core.compiler", "CompileResult._find_referenced_environments"),
        *of("numba.core.errors", "NumbaError"),
        *of("numba.core.imputils", "lower_constant"),
        *of("numba.core.types", "Dispatcher", "Integer", "unliteral", "int64"),
        *of("numba.core.typing.templates", "infer_global"),
        *of("numba.extending", "models.OpaqueModel", "register_model"),
    ),
)
NATIVE = Piece(
    "native code",
    "matrix products and views are Numba's own, and loops take two to ten times as long",
    (
        *of("llvmlite.binding", "get_host_cpu_features"),
        *of("llvmlite.ir", "Constant", "Function", "FunctionType", "IRBuilder", "IntType"),
        *of("llvmlite.ir", "LiteralStructType", "Undefined", "VectorType", "VoidType"),
        *of("numba.core.base", "BaseContext.make_array", "BaseContext.get_constant"),
        *of("numba.core.base", "BaseContext.get_data_type", "BaseContext.get_value_type"),
        *of("numba.core.base", "BaseContext.get_abi_sizeof", "BaseContext.get_dummy_value"),
        *of("numba.core.base", "BaseContext.make_tuple", "BaseContext.cast"),
        *of("numba.core.base", "BaseContext.make_constant_array"),
        *of("numba.core.cgutils", "alloca_once", "alloca_once_value", "for_range", "for_range_slice"),
        *of("numba.core.cgutils", "get_or_insert_function", "if_unlikely", "memset", "pack_struct"),
        *of("numba.core.cgutils", "pointer_add", "raw_memcpy", "unpack_tuple", "voidptr_t"),
        *of("numba.core.errors", "TypingError"),
        *of("numba.core.imputils", "impl_ret_borrowed"),
        *of("numba.core.types", "Array", "BaseTuple", "Function", "Integer", "boolean", "float64"),
        *of("numba.core.types", "intp", "void"),
        *of("numba.core.typing.templates", "infer", "infer_global", "make_intrinsic_template"),
        *of("numba.np.arrayobj", "populate_array"),
        *of("numba.np.linalg", "ensure_blas", "ensure_lapack", "get_blas_kind"),
    ),
)
BINDING = Piece(
    "binding of arguments",
    "arguments are taken apart at every call, a fifth of a microsecond for each array",
    of("numba.core.base", "BaseContext.get_value_type", "BaseContext.get_abi_sizeof"),
)
SHARING = Piece(
    "sharing of calls",
    "one thread does all the work",
    (
        *of("llvmlite.binding", "add_symbol"),
        *of("llvmlite.ir", "IRBuilder.cmpxchg", "IRBuilder.store_atomic"),
        *of("numba.core.base", "BaseContext.add_linking_libs", "BaseContext.declare_function"),
        *of("numba.core.base", "BaseContext.get_c_value"),
        *of("numba.core.cgutils", "false_bit", "gep_inbounds"),
        *of("numba.core.callconv", "CPUCallConv.return_status_propagate", "Status", "excinfo_ptr_t"),
        *of("numba.core.types", "StarArgTuple"),
    ),
)
CACHE = Piece(
    "cache",
    "machine code is kept in no file, and each process compiles anew",
    (
        *of("numba.core.caching", "_Cache"),
        *of("numba.core.compiler", "CompileResult._rebuild", "CompileResult._reduce"),
        *of("numba.core.config", "CACHE_DIR"),
        *of("numba.core.environment", "Environment"),
        *of("numba.core.funcdesc", "FunctionDescriptor"),
        *of("numba.core.runtime.nrt", "rtsys.initialize"),
        *of("numba.core.serialize", "dumps"),
        *of("numba.core.types", "BaseNamedTuple", "BaseTuple"),
        *of("numba.core.typing.templates", "Signature"),
    ),
)
LOCKING = Piece(
    "locking",
    "a process that is forked while another thread compiles cannot compile",
    of("numba.core.compiler_lock", "global_compiler_lock.acquire", "global_compiler_lock.release"),
)
LOCATING = Piece(
    "locating",
    "an index that is out of bounds is found, but not the line",
    (
        *of("numba.core.cgutils", "do_boundscheck", "if_unlikely"),
        *of("numba.core.compiler_machinery", "register_pass"),
        *of("numba.core.lowering", "Lower.lower"),
        *of("numba.core.typed_passes", "NativeLowering"),
    ),
)
PIECES = (LINKING, NATIVE, BINDING, SHARING, CACHE, LOCKING, LOCATING)
UNCHECKED = (NATIVE,)  # pieces that are not used where indices are checked

# Sharing emits calls of linked kernels, and binding reads arguments by native code.
DEPENDS_ON = {BINDING: (NATIVE,), SHARING: (NATIVE, LINKING), LOCATING: (LINKING,)}


def in_use(piece: Piece) -> bool:
    """Whether a piece, and every piece that it depends on, is used."""
    parts = (piece, *DEPENDS_ON.get(piece, ()))
    if checked() and any(part in UNCHECKED for part in parts):
        return False
    return all(part.name not in absent() for part in parts)


def names_in_use() -> tuple[str, ...]:
    """The names of the pieces that are used: machine code depends on them."""
    return tuple(piece.name for piece in PIECES if in_use(piece))


@cache
def absent() -> tuple[str, ...]:
    """The names of the pieces that are not used.

    Raises
    ------
    RnnsimError
        If ``RNNSIM_COMPILER`` is neither ``fast`` nor ``plain``.
    """
    choice = os.environ.get(CHOICE) or FAST
    if choice not in (FAST, PLAIN):
        raise RnnsimError(f"{CHOICE} is {choice!r}; it is {FAST} or {PLAIN}")
    if choice == PLAIN:
        return tuple(piece.name for piece in PIECES)
    if not sources():
        _say(f"the compiler's own code cannot be read: {CACHE.otherwise}")
        return (CACHE.name, *_missing())
    digest = hashlib.sha256(repr(_versions()).encode()).hexdigest()
    path = kernel_files.note_path("pieces", digest)
    if kernel_files.read(path) == digest.encode():
        return ()
    found = _missing()
    if not found:
        kernel_files.write(path, digest.encode())
    return found


def _missing() -> tuple[str, ...]:
    """The names of the pieces that need a name which this Numba lacks; a line says so of each."""
    found = {piece: lacks for piece in PIECES if (lacks := missing(piece))}
    for piece, lacks in found.items():
        _say(f"Numba {version('numba')} has no {lacks}: {piece.otherwise}")
    return tuple(piece.name for piece in found)


def missing(piece: Piece) -> str | None:
    """The first name that a piece needs and this Numba lacks."""
    return next((name for name in piece.needs if not _exists(name)), None)


def _exists(name: str) -> bool:
    module, _, attributes = name.partition(":")
    try:
        thing = import_module(module)
    except ImportError:
        return False
    for attribute in attributes.split("."):
        if not hasattr(thing, attribute):
            return False
        thing = getattr(thing, attribute)
    return True


def _say(what: str) -> None:
    print(f"rnnsim: {what}", file=sys.stderr)


def _versions() -> tuple[str, ...]:
    packages = (version(name) for name in ("numba", "llvmlite"))
    return (sys.version, __version__, *packages, sources().hex())


@cache
def sources() -> bytes:
    """A hash of the compiler's files; empty if they cannot be read.

    They are found as Python finds them: in a folder, in a zip file, or without their sources.
    """
    package, digest = import_module(__package__), hashlib.sha256()
    try:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            finder: Any = module.module_finder
            spec = finder.find_spec(module.name)
            digest.update(spec.loader.get_data(spec.origin))
    except (AttributeError, ImportError, OSError):
        return b""
    return digest.digest()
