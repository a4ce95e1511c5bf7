"""Optimises a composition of kernels once, as one LLVM module.

Numba optimises every function that a kernel calls, together with its callees, and generates machine
code for it. In a loop composed of fifty kernels only the entry point is ever called by address, and all
others are linked into it before it is optimised. So inner kernels are only lowered to LLVM IR here,
which cuts compile time to a third.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar

import numba
from llvmlite.binding import parse_assembly
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.errors import NumbaError
from numba.core.imputils import lower_constant
from numba.core.typing.templates import infer_global
from numba.extending import models, register_model

from rnnsim.compiler.bounds import checked
from rnnsim.compiler.explaining import is_of_author, note_function
from rnnsim.compiler.pieces import LOCATING, in_use
from rnnsim.errors import RnnsimError

PYTHON_ENTRY = "cpython"  # in the name of the wrapper that Python calls
APART = "share"  # begins the name of a function that is called by address too, and never inlined


class DeferredLibrary(JITCodeLibrary):
    """LLVM IR of an inner kernel, to be linked into its callers and never called by address."""

    def finalize(self) -> None:
        """Skip linking and optimisation: the entry point's library does both."""
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    @property
    def codegen(self) -> Any:
        """Numba asks this object to prepare code for calling; there is nothing to prepare."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Skip: without machine code there is no environment; the entry point sets all of them."""

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0


class LinkedLibrary(JITCodeLibrary):
    """The library of an entry point, into which all deferred ones are linked."""

    def finalize(self) -> None:
        """Link deferred libraries transitively, then optimise."""
        libraries = list(self._linking_libraries)
        for library in libraries:  # grows while it is iterated over
            if isinstance(library, DeferredLibrary):
                libraries += [part for part in library._linking_libraries if part not in libraries]
        self._linking_libraries = libraries
        super().finalize()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def can_mark_functions() -> bool:
    """Whether llvmlite sets attributes of functions; older versions set those of the return value."""
    module = parse_assembly("define void @f() { ret void }")
    for function in module.functions:
        function.add_function_attribute("alwaysinline")
    try:
        module.verify()
    except RuntimeError:
        return False
    return True


class InlinedLibrary(LinkedLibrary):
    """The library of an entry point into which every call is inlined, where llvmlite can ask for it."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions if can_mark_functions() else ():
            kept = PYTHON_ENTRY in function.name or function.name.startswith(APART)
            kept |= any(b"noinline" in attribute for attribute in function.attributes)  # of exceptions
            if not function.is_declaration and not kept:
                function.add_function_attribute("alwaysinline")
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class InnerCompiler(Compiler):
    """Compiler of inner kernels."""

    library: ClassVar[type[JITCodeLibrary]] = DeferredLibrary

    def compile_extra(self, func: Any) -> Any:
        try:
            return super().compile_extra(func)  # type: ignore[no-untyped-call]
        except Exception as error:
            note_function(error, func)
            raise

    def define_pipelines(self) -> Any:
        state = self.state
        if state.library is None:
            state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        pipelines = super().define_pipelines()  # type: ignore[no-untyped-call]
        if not (checked() and in_use(LOCATING)):
            return pipelines
        from rnnsim.compiler.located import locate

        return locate(pipelines)


class InnerKernelType(types.Dispatcher):
    """The type of an inner kernel at its call sites.

    Numba would specialise the kernel for literal and for unsigned integers; here all integers are int64.
    """

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        args = tuple(without_literals(arg) for arg in args)
        kws = {name: without_literals(arg) for name, arg in kws.items()}
        return super().get_call_type(context, args, kws)


register_model(InnerKernelType)(models.OpaqueModel)


@lower_constant(InnerKernelType)  # type: ignore[untyped-decorator, no-untyped-call]
def no_address(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Leave the dispatcher's address out of the code, which could not be cached otherwise."""
    return context.get_dummy_value()


def without_literals(arg: Any) -> Any:
    """The type of an argument without its literal value, and int64 for all integers."""
    arg = types.unliteral(arg)  # type: ignore[no-untyped-call]
    return types.int64 if isinstance(arg, types.Integer) else arg


def deferred(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a kernel whose library is deferred."""
    return {**options, "pipeline_class": InnerCompiler}


def register_inner(
    function: Callable[..., Any], body: Callable[..., Any], options: dict[str, Any]
) -> Any:
    """Let kernels call a function, compiled from ``body``; the caller keeps the dispatcher alive."""
    dispatcher = numba.njit(**deferred(options))(body)
    infer_global(function, InnerKernelType(dispatcher))  # type: ignore[no-untyped-call]
    return dispatcher


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Suspend Python's garbage collector.

    A compilation creates millions of objects, few of them garbage; collecting takes a sixth of its time.
    Without it the peak is 470 MB instead of 320.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class EntryPointCompiler(InnerCompiler):
    """Compiler of entry points."""

    library = LinkedLibrary

    def compile_extra(self, func: Any) -> Any:
        try:
            with no_garbage_collection():
                result = super().compile_extra(func)
        except (NumbaError, RnnsimError):
            raise
        except Exception as error:
            if is_of_author(error):
                raise
            raise RnnsimError(
                f"Numba {numba.__version__} cannot link kernels as this version of rnnsim does "
                f"({type(error).__name__}: {error}); RNNSIM_COMPILER=plain does without"
            ) from error
        for environment in result._find_referenced_environments():
            result.library.codegen.set_env(environment.env_name, environment)
        return result


class InliningCompiler(EntryPointCompiler):
    """Compiler of entry points into which everything is inlined."""

    library = InlinedLibrary
