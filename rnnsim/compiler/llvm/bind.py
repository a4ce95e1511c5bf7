"""Reading a value from memory, in the layout of compiled code (:mod:`rnnsim.compiler.binding`)."""

from __future__ import annotations

from typing import Any

from rnnsim.errors import RnnsimError


def contents(kind: Any, size: int) -> Any:
    """Make the code that reads a value of Numba type ``kind``, of ``size`` bytes, from an address."""

    def code(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value_type = context.get_value_type(kind)
            if context.get_abi_sizeof(value_type) != size:
                raise RnnsimError(f"{kind} has another layout in memory than compiled code expects")
            return builder.load(builder.inttoptr(arguments[0], value_type.as_pointer()))

        return kind(address), generate

    return code
