"""One optimisation for a whole composition of kernels, in place of one for each of its parts.

Numba compiles every function that a kernel calls as a library of its own: optimises it, with all that it
calls in turn, and makes machine code of it. Of a loop composed of fifty kernels, one within the other,
nobody calls the inner ones; what counts is the outermost, into which all the others are linked before it
is optimised. So the inner ones are only lowered to LLVM's language here. Compiling takes a third of the
time.
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
from numba.core.imputils import lower_constant
from numba.core.typing.templates import infer_global
from numba.extending import models, register_model

PYTHON_ENTRY = "cpython"  # what Python calls


class DeferredLibrary(JITCodeLibrary):
    """The code of an inner kernel: linked into its callers, never called by address."""

    def finalize(self) -> None:
        """Neither linked with what it calls nor optimised: the whole is."""
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    @property
    def codegen(self) -> Any:
        """Asked for by what makes code ready to be called: there is nothing to make ready."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """No machine code yet, no environment: the whole gets those of all its parts."""

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0


class LinkedLibrary(JITCodeLibrary):
    """The code of the outermost kernel."""

    def finalize(self) -> None:
        """Link all parts in, and the parts of parts."""
        libraries = list(self._linking_libraries)
        for library in libraries:  # which grows
            if isinstance(library, DeferredLibrary):
                libraries += [part for part in library._linking_libraries if part not in libraries]
        self._linking_libraries = libraries
        super().finalize()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def can_mark_functions() -> bool:
    """Whether a function can be marked: older llvmlite marks what it returns instead."""
    module = parse_assembly("define void @f() { ret void }")
    for function in module.functions:
        function.add_function_attribute("alwaysinline")
    try:
        module.verify()
    except RuntimeError:
        return False
    return True


class InlinedLibrary(LinkedLibrary):
    """The code of an outermost kernel, all that it calls being inlined, if it can be marked so."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions if can_mark_functions() else ():
            if not function.is_declaration and PYTHON_ENTRY not in function.name:
                function.add_function_attribute("alwaysinline")
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class InnerCompiler(Compiler):
    """Compiles a kernel that others call."""

    library: ClassVar[type[JITCodeLibrary]] = DeferredLibrary

    def define_pipelines(self) -> Any:
        state = self.state
        if state.library is None:
            state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        return super().define_pipelines()  # type: ignore[no-untyped-call]


class InnerKernelType(types.Dispatcher):
    """The type of an inner kernel, where another calls it.

    Numba would compile the kernel anew for every constant that it is called with, and for a number
    without a sign: here numbers are numbers.
    """

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        args = tuple(without_literals(arg) for arg in args)
        kws = {name: without_literals(arg) for name, arg in kws.items()}
        return super().get_call_type(context, args, kws)


register_model(InnerKernelType)(models.OpaqueModel)


@lower_constant(InnerKernelType)  # type: ignore[untyped-decorator, no-untyped-call]
def no_address(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Code that knew where the dispatcher is in this process could not be kept."""
    return context.get_dummy_value()


def without_literals(arg: Any) -> Any:
    """The type of an argument, a constant's being that of its kind, and whole numbers having a sign."""
    arg = types.unliteral(arg)  # type: ignore[no-untyped-call]
    return types.int64 if isinstance(arg, types.Integer) else arg


def deferred(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a kernel that is linked into others."""
    return {**options, "pipeline_class": InnerCompiler}


def register_inner(
    function: Callable[..., Any], body: Callable[..., Any], options: dict[str, Any]
) -> Any:
    """Let kernels call a function, compiled from a body; the dispatcher that is returned must be kept."""
    dispatcher = numba.njit(**deferred(options))(body)
    infer_global(function, InnerKernelType(dispatcher))  # type: ignore[no-untyped-call]
    return dispatcher


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Leave rubbish for later.

    A compilation makes millions of objects, and spends a sixth of its time on looking through them in
    vain. (It takes 470 MB in place of 320.)
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class EntryPointCompiler(InnerCompiler):
    """Compiles the kernel that Python calls."""

    library = LinkedLibrary

    def compile_extra(self, func: Any) -> Any:
        with no_garbage_collection():
            result = super().compile_extra(func)  # type: ignore[no-untyped-call]
        for environment in result._find_referenced_environments():
            result.library.codegen.set_env(environment.env_name, environment)
        return result


class InliningCompiler(EntryPointCompiler):
    """Compiles a kernel that Python calls, and has it call nothing."""

    library = InlinedLibrary
