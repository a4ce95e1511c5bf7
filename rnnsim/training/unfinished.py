"""The data of a window that is not yet complete.

The network has run over its rows, so that it could speak. Once the window is complete, the rule runs
over all of it from the state at which it began: a learner gives the same parameters to the last bit,
however what it learns is cut into calls.
"""

from __future__ import annotations

from rnnsim.errors import RnnsimError
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.typing import Array

OVER_TIME = ("inputs", "targets", "mask", "resets", "gives_error")


class UnfinishedWindow:
    """The rows of a window so far.

    Attributes
    ----------
    rows : Stream
        Of the length of a window.
    count : int
        The number of rows that are filled.
    is_open : bool
        Whether the last of them waits for its target.
    """

    def __init__(self, network: Network, window: int, batch: int) -> None:
        self.network, self.window, self.batch = network, window, batch
        self.count, self.is_open = 0, False
        self._allocate(network.columns[0])

    def _allocate(self, columns: int) -> None:
        network = self.network
        self.rows = empty_stream(
            self.window, self.batch, columns, network.n_out, network.dtype,
            output_mask=network.sums_outputs,
        )  # fmt: skip
        self.rows.output_mask[:] = 1
        self.rows.masks_outputs[0] = network.sums_outputs

    def _fit(self, columns: int) -> None:
        """Have rows whose inputs have so many columns."""
        if columns != self.rows.inputs.shape[2]:
            if self.count:
                raise RnnsimError(f"inputs have {columns} columns; those of the unfinished window have "
                                  f"{self.rows.inputs.shape[2]}")  # fmt: skip
            self._allocate(columns)

    def open(self, u: Array, resets: bool) -> int:
        """Add a row (B, columns) whose target is to come; its index."""
        self._fit(u.shape[-1])
        i, rows = self.count, self.rows
        rows.inputs[i] = u
        rows.mask[i] = 0
        rows.resets[i] = resets
        rows.gives_error[i] = False
        self.count, self.is_open = i + 1, True
        return i

    def take(self, stream: Stream, begin: int) -> tuple[slice, slice]:
        """Copy as many rows of a stream from ``begin`` on as have room; where they are now, and were."""
        self._fit(stream.inputs.shape[2])
        count = min(self.window - self.count, len(stream.losses) - begin)
        here, there = slice(self.count, self.count + count), slice(begin, begin + count)
        for name in OVER_TIME:
            getattr(self.rows, name)[here] = getattr(stream, name)[there]
        if self.network.sums_outputs:
            weighs = stream.masks_outputs[0]
            self.rows.output_mask[here] = stream.output_mask[there] if weighs else 1
        self.count += count
        return here, there

    @property
    def is_complete(self) -> bool:
        """Whether all rows are filled, and none waits for its target."""
        return self.count == self.window and not self.is_open
