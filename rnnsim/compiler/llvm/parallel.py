# mypy: disable-error-code="no-untyped-call"
"""Calls that Numba's threading layer divides between threads (:mod:`rnnsim.numerics.parallel`).

A *share* is the calls that one thread makes. The layer's ``numba_parallel_for`` calls, on all threads, a
function with the signature of a gufunc's inner loop, which makes the calls of some shares. Where the
layer is not to be used (:mod:`rnnsim.compiler.sharing`), this function is called once, for all shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.callconv import Status, excinfo_ptr_t
from numba.core.errors import TypingError

from rnnsim.compiler.linking import APART
from rnnsim.compiler.sharing import STATE, State

WORD, ADDRESS = ir.IntType(64), ir.IntType(8).as_pointer()


def in_parallel(typing_context: Any, part: Any, times: Any, *arguments: Any) -> Any:
    compiled = compiled_for(typing_context, part, types.intp, *arguments)
    argument_types = types.StarArgTuple(compiled.signature.args[1:])

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, times, arguments = values

        def arguments_of(builder: Any, i: Any, arguments: Any) -> list[Any]:
            return [i, *cgutils.unpack_tuple(builder, arguments)]

        share_calls(context, builder, compiled, times, arguments, arguments_of)
        return context.get_dummy_value()

    return types.void(part, types.intp, argument_types), generate


def in_parts(typing_context: Any, run: Any, rows: Any, parts: Any, *arguments: Any) -> Any:
    compiled = compiled_for(typing_context, run, *arguments, types.intp, types.intp)
    argument_types = types.StarArgTuple(compiled.signature.args[:-2])

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, rows, parts, arguments = values
        zero, one = rows.type(0), rows.type(1)

        def arguments_of(builder: Any, i: Any, packed: Any) -> list[Any]:
            rows, parts, arguments = cgutils.unpack_tuple(builder, packed)
            following = builder.add(i, one)
            begin, end = (builder.sdiv(builder.mul(j, rows), parts) for j in (i, following))  # bounds()
            return [*cgutils.unpack_tuple(builder, arguments), begin, end]

        is_one_part = builder.icmp_signed("==", parts, one)
        with builder.if_else(is_one_part) as (one_part, several_parts):
            with one_part:
                own = [*cgutils.unpack_tuple(builder, arguments), zero, rows]
                raise_if_error(context, builder, call(context, builder, compiled, own))
            with several_parts:
                packed = cgutils.pack_struct(builder, [rows, parts, arguments])
                share_calls(context, builder, compiled, parts, packed, arguments_of)
        return context.get_dummy_value()

    return types.void(run, types.intp, types.intp, argument_types), generate


def compiled_for(typing_context: Any, kernel: Any, *arguments: Any) -> Any:
    """A kernel compiled for arguments of these types."""

    try:
        signature = kernel.get_call_type(typing_context, arguments, {})
    except TypeError as error:  # what older versions of Numba raise for arguments of a wrong number
        raise TypingError(str(error)) from error
    return kernel.dispatcher.overloads[tuple(signature.args)]


def call(context: Any, builder: Any, compiled: Any, values: list[Any]) -> Any:
    """Call a compiled kernel and return the status."""
    own = compiled.signature
    context.add_linking_libs([compiled.library])
    function = context.declare_function(builder.module, compiled.fndesc)
    return context.call_conv.call_function(builder, function, own.return_type, own.args, values)[0]


def raise_if_error(context: Any, builder: Any, status: Any) -> None:
    """Raise the exception of a call."""

    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)


def share_calls(
    context: Any, builder: Any, compiled: Any, times: Any, packed: Any, arguments_of: Callable[..., Any]
) -> None:
    """Call a kernel repeatedly with ``arguments_of(builder, i, packed)``, on all threads if it may."""
    shares = number_of_shares(context, builder)
    no_error = ir.LiteralStructType([ir.IntType(32), ADDRESS])(None)  # its code and excinfo
    raised = cgutils.alloca_once_value(builder, no_error)
    shared = cgutils.pack_struct(builder, [times, shares, packed, raised])
    function = share_function(context, builder.module, compiled, shared.type, arguments_of)
    # The layer advances array pointers by one element per share: here, an element has one byte.
    data, count, step = (cgutils.alloca_once_value(builder, x) for x in (shared, shares, WORD(1)))
    data = builder.bitcast(data, ADDRESS)
    first = cgutils.alloca_once_value(builder, data)
    with builder.if_else(takes_layer(context, builder, shares)) as (on_all_threads, on_this_thread):
        with on_all_threads:
            layer_type = ir.FunctionType(ir.VoidType(), [*[ADDRESS] * 5, WORD, WORD, WORD])
            layer = cgutils.get_or_insert_function(builder.module, layer_type, "numba_parallel_for")
            pointers = [builder.bitcast(x, ADDRESS) for x in (function, first, count, step, data)]
            builder.call(layer, [*pointers, WORD(0), WORD(1), shares])
            leave_layer(context, builder)
        with on_this_thread:
            builder.call(function, [first, count, step, data])
    raise_if_error(context, builder, status_of(builder, raised))


def state_field(context: Any, builder: Any, name: str) -> Any:
    """The address of a field of :data:`rnnsim.compiler.sharing.state`."""
    names = [field for field, _ in State._fields_]
    state_type = ir.LiteralStructType([WORD] * len(names))
    state = context.get_c_value(builder, state_type, STATE)
    return cgutils.gep_inbounds(builder, state, 0, names.index(name))


def number_of_shares(context: Any, builder: Any) -> Any:
    """One share per thread, as not every layer makes equal shares; callers divide the threads."""
    threads_type = ir.FunctionType(WORD, [])
    threads = cgutils.get_or_insert_function(builder.module, threads_type, "get_num_threads")
    callers = builder.load(state_field(context, builder, "callers"))
    available = builder.sext(builder.trunc(builder.call(threads, []), ir.IntType(32)), WORD)  # a C int
    own = builder.sdiv(available, at_least_one(builder, callers))
    return at_least_one(builder, own)


def at_least_one(builder: Any, x: Any) -> Any:
    return builder.select(builder.icmp_signed("<", x, WORD(1)), WORD(1), x)


def takes_layer(context: Any, builder: Any, shares: Any) -> Any:
    """Take the threading layer if there is more than one share, and no other call has taken it."""
    taken = cgutils.alloca_once_value(builder, cgutils.false_bit)
    with builder.if_then(builder.icmp_signed(">", shares, WORD(1))):
        field = state_field(context, builder, "taken")
        exchange = builder.cmpxchg(field, WORD(0), WORD(1), "acquire", "monotonic")
        builder.store(builder.extract_value(exchange, 1), taken)
    return builder.load(taken)


def leave_layer(context: Any, builder: Any) -> None:
    builder.store_atomic(WORD(0), state_field(context, builder, "taken"), "release", align=8)


def status_of(builder: Any, raised: Any) -> Any:
    """The status of a call from the error code and excinfo that ``share_function`` has stored."""
    code, excinfo = cgutils.unpack_tuple(builder, builder.load(raised))
    is_error = builder.icmp_signed("!=", code, code.type(0))
    excinfo = builder.bitcast(excinfo, excinfo_ptr_t)
    fields = {"code": code, "is_error": is_error, "excinfoptr": excinfo}
    return Status(**(dict.fromkeys(Status._fields) | fields))


def share_function(
    context: Any, module: Any, compiled: Any, shared_type: Any, arguments_of: Callable[..., Any]
) -> Any:
    """Make the function that threads call, ``share(&first, &count, _, &shared)``.

    It makes the calls of ``count`` shares; ``first`` is ``&shared`` plus the index of the first share.
    """

    share_type = ir.FunctionType(
        ir.VoidType(), [ADDRESS.as_pointer(), WORD.as_pointer(), WORD.as_pointer(), ADDRESS]
    )
    name = module.get_unique_name(f"{APART}.{compiled.fndesc.mangled_name}")
    function = ir.Function(module, share_type, name)
    function.linkage = "internal"
    function.attributes.add("noinline")  # it is called in two places
    builder = ir.IRBuilder(function.append_basic_block())
    data = function.args[3]
    shared = builder.load(builder.bitcast(data, shared_type.as_pointer()))
    times, shares, packed, raised = cgutils.unpack_tuple(builder, shared)
    first = builder.load(function.args[0])
    first = builder.sub(*(builder.ptrtoint(pointer, WORD) for pointer in (first, data)))
    last = builder.add(first, builder.load(function.args[1]))
    begin, end = (builder.sdiv(builder.mul(share, times), shares) for share in (first, last))
    with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
        i = builder.add(begin, loop.index)
        status = call(context, builder, compiled, arguments_of(builder, i, packed))
        with cgutils.if_unlikely(builder, status.is_error):
            excinfo = builder.bitcast(status.excinfoptr, ADDRESS)
            builder.store(cgutils.pack_struct(builder, [status.code, excinfo]), raised)
    builder.ret_void()
    return function
