"""A value that lies in memory, in the form that machine code has it in (:mod:`rnnsim.compiler.binding`)."""

from __future__ import annotations

from typing import Any

from rnnsim.errors import RnnsimError


def contents(kind: Any, size: int) -> Any:
    """Make the code that reads a value of a type of Numba's, of so many bytes, from an address."""

    def code(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            form = context.get_value_type(kind)
            if context.get_abi_sizeof(form) != size:
                raise RnnsimError(f"{kind} does not lie in memory as it was laid there")
            return builder.load(builder.inttoptr(arguments[0], form.as_pointer()))

        return kind(address), generate

    return code
