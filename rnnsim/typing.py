"""The types in signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Bools: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]
Inputs: TypeAlias = NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]
Kernel: TypeAlias = Callable[..., Any]
Number: TypeAlias = Any  # a float, or a NumPy scalar of the network's type

# NamedTuples of arrays and numbers, whose fields are defined by the network, rule or task that makes
# them (of trajectories: rnnsim.network.TrajectoryFields).
Params: TypeAlias = Any
Trajectory: TypeAlias = Any
Memory: TypeAlias = Any
State: TypeAlias = Any
