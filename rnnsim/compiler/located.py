# mypy: disable-error-code="no-untyped-call"
"""Lowers kernels so that an index out of bounds raises with the line that it was used in."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering


class LocatedLower(Lower):
    """Lowers one kernel."""

    def lower(self) -> None:
        before, cgutils.do_boundscheck = cgutils.do_boundscheck, self._check
        try:
            super().lower()
        finally:
            cgutils.do_boundscheck = before

    def _check(self, context: Any, builder: Any, index: Any, size: Any, axis: Any = None) -> None:
        """Raise if an index is out of bounds; a negative one is a large one here."""
        where = f" for axis {axis}" if isinstance(axis, int) else ""
        with cgutils.if_unlikely(builder, builder.icmp_unsigned(">=", index, size)):
            context.call_conv.return_user_exc(
                builder, IndexError, (f"an index is out of bounds{where}",),
                loc=self.loc, func_name=self.func_ir.func_id.func_name,
            )  # fmt: skip


@register_pass(mutates_CFG=True, analysis_only=False)
class LocatedLowering(NativeLowering):
    """The pass that lowers."""

    _name = "rnnsim_located_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        return LocatedLower


def locate(pipelines: list[Any]) -> list[Any]:
    """Put this pass in the place of Numba's."""
    for pipeline in pipelines:
        pipeline.passes = [
            (LocatedLowering if each is NativeLowering else each, name) for each, name in pipeline.passes
        ]
    return pipelines
