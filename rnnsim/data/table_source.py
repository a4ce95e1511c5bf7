"""The rows of a table as a task draws them: one after the other, and after the last the first again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.data.pairs import Pairs
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.typing import Array, Bools


class TableSource(NamedTuple):
    """The rows of a part, and where each sequence of the batch is.

    Attributes
    ----------
    inputs : (rows, m) array
    targets : (rows, k) array
    weights : (rows, k) or (rows, 1) array
    resets : (rows,) bool array
    place : (B,) int array
        The next row.
    """

    inputs: Array
    targets: Array
    weights: Array
    resets: Bools
    place: Array


def source_of(pairs: Pairs, batch: int, dtype: Any) -> TableSource:
    """The source of so many sequences, which begin at rows that are evenly spaced."""
    return TableSource(
        inputs=np.ascontiguousarray(pairs.inputs, dtype),
        targets=np.ascontiguousarray(pairs.targets, dtype),
        weights=np.ascontiguousarray(pairs.weights, dtype),
        resets=pairs.resets,
        place=np.arange(batch) * len(pairs.rows) // batch,
    )


@kernel(allocates=False)
def fill(source: TableSource, stream: Stream, rows: int) -> int:
    """The rows from each sequence's place on, and after the last the first again."""
    masks_outputs = stream.output_mask.shape[0] > 0
    k = stream.targets.shape[2]
    for t in range(rows):
        for b in range(stream.mask.shape[1]):
            row = source.place[b]
            for i in range(stream.inputs.shape[2]):
                stream.inputs[t, b, i] = source.inputs[row, i]
            weight = 0.0
            for o in range(source.weights.shape[1]):
                weight = max(weight, source.weights[row, o])
            for o in range(k):
                stream.targets[t, b, o] = source.targets[row, o]
                if masks_outputs:
                    stream.output_mask[t, b, o] = source.weights[
                        row, min(o, source.weights.shape[1] - 1)
                    ]
            stream.mask[t, b] = weight
            stream.resets[t, b] = source.resets[row]
            source.place[b] = (row + 1) % source.inputs.shape[0]
    return rows
