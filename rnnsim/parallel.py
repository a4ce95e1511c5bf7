# mypy: disable-error-code="no-untyped-call"
"""Calls that the cores share.

Numba's own parallel loops (``prange``) are functions of their own, made for arrays of any layout: each
takes a quarter of a second to compile and lays its arguments anew. Here a kernel is called for each of
several parts, by the same threads: those of Numba's threading layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnsim.kernels import native


def in_parallel_code(typing_context: Any, part: Any, times: Any, *arguments: Any) -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types

    own = part.get_call_type(typing_context, (types.intp, *arguments), {})
    compiled = part.dispatcher.overloads[tuple(own.args)]
    given = types.StarArgTuple(own.args[1:])
    word, address = ir.IntType(64), ir.IntType(8).as_pointer()
    share = [address.as_pointer(), word.as_pointer(), word.as_pointer(), address]
    share_type = ir.FunctionType(ir.VoidType(), share)
    loop_type = ir.FunctionType(ir.VoidType(), [*[address] * 5, word, word, word])

    def share_function(context: Any, module: Any, form: Any) -> Any:
        """What a thread calls: ``share(&first, &count, _, arguments)``."""
        context.add_linking_libs([compiled.library])
        callee = context.declare_function(module, compiled.fndesc)
        name = module.get_unique_name(f"share.{compiled.fndesc.mangled_name}")
        function = ir.Function(module, share_type, name)
        function.linkage = "internal"
        builder = ir.IRBuilder(function.append_basic_block())
        first = builder.ptrtoint(builder.load(function.args[0]), word)
        count = builder.load(function.args[1])
        of_all = builder.load(builder.bitcast(function.args[3], form.as_pointer()))
        values = cgutils.unpack_tuple(builder, of_all, len(given))
        with cgutils.for_range(builder, count) as loop:
            numbered = [builder.add(first, loop.index), *values]
            context.call_conv.call_function(builder, callee, own.return_type, own.args, numbered)
        builder.ret_void()
        return function

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, times, of_all = values
        module = builder.module
        function = share_function(context, module, of_all.type)
        how_many = cgutils.get_or_insert_function(module, ir.FunctionType(word, []), "get_num_threads")
        loop = cgutils.get_or_insert_function(module, loop_type, "numba_parallel_for")
        # the layer steps through "arrays", one element a call: ours begins at address 0, in steps of 1
        first = cgutils.alloca_once_value(builder, address(None))
        count, step = (cgutils.alloca_once_value(builder, x) for x in (times, word(1)))
        data = cgutils.alloca_once_value(builder, of_all)
        laid = [builder.bitcast(x, address) for x in (function, first, count, step, data)]
        builder.call(loop, [*laid, word(0), word(1), builder.call(how_many, [])])
        return context.get_dummy_value()

    return types.void(part, types.intp, given), generate


@native(in_parallel_code)
def in_parallel(part: Callable[..., None], times: int, *arguments: Any) -> None:
    """Call ``part(i, *arguments)`` for i = 0, ..., times - 1, the cores sharing the calls.

    ``part`` is a kernel. A call inside another one's parts is not allowed for.
    """
    for i in range(times):
        part(i, *arguments)
