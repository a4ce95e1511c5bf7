"""Random draws inside kernels.

Each is a single call of the generator's ``random()``, which gives the same whether compiled or not.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel


@kernel(allocates=False)
def below(rng: np.random.Generator, n: int) -> int:
    """Draw an integer uniformly from 0, ..., n - 1."""
    return int(rng.random() * n)


@kernel(allocates=False)
def coin(rng: np.random.Generator) -> int:
    """Draw 0 or 1 with equal probability."""
    return int(rng.random() * 2)
