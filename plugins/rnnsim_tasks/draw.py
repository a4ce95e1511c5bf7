"""Random draws inside kernels.

All of them come from ``random()``: one draw of the generator each, the same whether compiled or not.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel


@kernel(allocates=False)
def below(rng: np.random.Generator, n: int) -> int:
    """Draw one of 0, ..., n - 1, uniformly."""
    return int(rng.random() * n)


@kernel(allocates=False)
def coin(rng: np.random.Generator) -> int:
    """Draw 0 or 1."""
    return int(rng.random() * 2)
