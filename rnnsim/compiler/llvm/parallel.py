# mypy: disable-error-code="no-untyped-call"
"""Calls that Numba's threading layer shares between threads (:mod:`rnnsim.numerics.parallel`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.callconv import Status, excinfo_ptr_t
from numba.core.errors import TypingError


def in_parallel(typing_context: Any, part: Any, times: Any, *arguments: Any) -> Any:
    compiled = compiled_for(typing_context, part, types.intp, *arguments)
    kinds = types.StarArgTuple(compiled.signature.args[1:])

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, times, given = values

        def arguments_of(builder: Any, i: Any, given: Any) -> list[Any]:
            return [i, *cgutils.unpack_tuple(builder, given)]

        share_calls(context, builder, compiled, times, given, arguments_of)
        return context.get_dummy_value()

    return types.void(part, types.intp, kinds), generate


def in_parts(typing_context: Any, run: Any, rows: Any, parts: Any, *arguments: Any) -> Any:
    compiled = compiled_for(typing_context, run, *arguments, types.intp, types.intp)
    kinds = types.StarArgTuple(compiled.signature.args[:-2])

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, rows, parts, given = values
        none, one = rows.type(0), rows.type(1)

        def arguments_of(builder: Any, i: Any, laid: Any) -> list[Any]:
            rows, parts, given = cgutils.unpack_tuple(builder, laid)
            following = builder.add(i, one)
            begin, end = (builder.sdiv(builder.mul(j, rows), parts) for j in (i, following))  # bounds()
            return [*cgutils.unpack_tuple(builder, given), begin, end]

        is_whole = builder.icmp_signed("==", parts, one)
        with builder.if_else(is_whole) as (whole, cut):
            with whole:
                own = [*cgutils.unpack_tuple(builder, given), none, rows]
                pass_on(context, builder, call(context, builder, compiled, own))
            with cut:
                laid = cgutils.pack_struct(builder, [rows, parts, given])
                share_calls(context, builder, compiled, parts, laid, arguments_of)
        return context.get_dummy_value()

    return types.void(run, types.intp, types.intp, kinds), generate


def compiled_for(typing_context: Any, kernel: Any, *arguments: Any) -> Any:
    """A kernel compiled for arguments of these types."""

    try:
        signature = kernel.get_call_type(typing_context, arguments, {})
    except TypeError as error:  # older Numba's, of arguments that do not fit
        raise TypingError(str(error)) from error
    return kernel.dispatcher.overloads[tuple(signature.args)]


def call(context: Any, builder: Any, compiled: Any, values: list[Any]) -> Any:
    """Call a compiled kernel; how it went."""
    own = compiled.signature
    context.add_linking_libs([compiled.library])
    function = context.declare_function(builder.module, compiled.fndesc)
    return context.call_conv.call_function(builder, function, own.return_type, own.args, values)[0]


def pass_on(context: Any, builder: Any, status: Any) -> None:
    """Raise what a call has raised."""

    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)


def share_calls(
    context: Any, builder: Any, compiled: Any, times: Any, laid: Any, arguments_of: Callable[..., Any]
) -> None:
    """Have the threads call a kernel so many times, with ``arguments_of(builder, i, laid)``."""

    word, address = ir.IntType(64), ir.IntType(8).as_pointer()
    threads_type = ir.FunctionType(word, [])
    threads = cgutils.get_or_insert_function(builder.module, threads_type, "get_num_threads")
    layer_type = ir.FunctionType(ir.VoidType(), [*[address] * 5, word, word, word])
    layer = cgutils.get_or_insert_function(builder.module, layer_type, "numba_parallel_for")
    shares = builder.call(threads, [])  # one for each thread: not every layer makes them even
    no_error = ir.LiteralStructType([ir.IntType(32), address])(None)  # its code and what it says
    raised = cgutils.alloca_once_value(builder, no_error)
    of_all = cgutils.pack_struct(builder, [times, shares, laid, raised])
    function = share_function(context, builder.module, compiled, of_all.type, arguments_of)
    # the layer steps through "arrays", an element a share: ours has elements of one byte
    data, count, step = (cgutils.alloca_once_value(builder, x) for x in (of_all, shares, word(1)))
    first = cgutils.alloca_once_value(builder, builder.bitcast(data, address))
    given = [builder.bitcast(x, address) for x in (function, first, count, step, data)]
    with without_gil(context, builder):
        builder.call(layer, [*given, word(0), word(1), shares])
    code, what = cgutils.unpack_tuple(builder, builder.load(raised))
    is_error = builder.icmp_signed("!=", code, code.type(0))
    what = builder.bitcast(what, excinfo_ptr_t)
    status = dict.fromkeys(Status._fields) | {"code": code, "is_error": is_error, "excinfoptr": what}
    pass_on(context, builder, Status(**status))


def share_function(
    context: Any, module: Any, compiled: Any, form: Any, arguments_of: Callable[..., Any]
) -> Any:
    """Make what a thread calls: ``share(&first, &count, _, &all)``, so many shares from the first on."""

    word, address = ir.IntType(64), ir.IntType(8).as_pointer()
    share_type = ir.FunctionType(
        ir.VoidType(), [address.as_pointer(), word.as_pointer(), word.as_pointer(), address]
    )
    name = module.get_unique_name(f"share.{compiled.fndesc.mangled_name}")
    function = ir.Function(module, share_type, name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    data = function.args[3]
    of_all = builder.load(builder.bitcast(data, form.as_pointer()))
    times, shares, laid, raised = cgutils.unpack_tuple(builder, of_all)
    first = builder.load(function.args[0])
    first = builder.sub(*(builder.ptrtoint(place, word) for place in (first, data)))
    last = builder.add(first, builder.load(function.args[1]))
    begin, end = (builder.sdiv(builder.mul(share, times), shares) for share in (first, last))
    with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
        i = builder.add(begin, loop.index)
        status = call(context, builder, compiled, arguments_of(builder, i, laid))
        with cgutils.if_unlikely(builder, status.is_error):
            what = builder.bitcast(status.excinfoptr, address)
            builder.store(cgutils.pack_struct(builder, [status.code, what]), raised)
    builder.ret_void()
    return function


@contextmanager
def without_gil(context: Any, builder: Any) -> Iterator[None]:
    """Give the interpreter's lock away: a part may ask for it, as printing does."""
    python = context.get_python_api(builder)
    had = python.gil_ensure()
    state = python.save_thread()
    yield
    python.restore_thread(state)
    python.gil_release(had)
