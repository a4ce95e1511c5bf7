"""A learning rate for each parameter, or for each of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown
from rnnsim.network import Network
from rnnsim.typing import Array


def rates_of(network: Network, given: Any) -> tuple[float, Array]:
    """The learning rate, and by what it is multiplied for each parameter: (n_params,), or none.

    Parameters
    ----------
    network : Network
    given : float, or mapping or NamedTuple of floats and arrays
        One rate, or rates by the names of parameters; those that are left out are 0.

    Raises
    ------
    RnnsimError
        If a rate is negative or not finite, has another shape than its parameter, or an unknown name.
    """
    by_name = given._asdict() if isinstance(given, tuple) and hasattr(given, "_asdict") else given
    if not isinstance(by_name, Mapping):
        return checks.real("learning_rate", given, at_least=0), np.zeros(0, network.dtype)
    if not by_name:
        raise RnnsimError("learning_rate is empty; it is a number, or one for each parameter by name")
    for name in by_name:
        if name not in network.shapes:
            raise UnknownName(nearest("parameter in learning_rate", name, network.shapes))
    rates = np.zeros(network.n_params)
    for name, view in network.views(rates)._asdict().items():
        view[...] = _rate(f"learning_rate of {name}", by_name.get(name, 0.0), view.shape)
    largest = float(rates.max(initial=0.0))
    return largest, (rates / largest if largest else rates).astype(network.dtype)


def checked_rate(network: Network, given: Any) -> Any:
    """Check a learning rate, or rates by the names of parameters, and give it as it is.

    Raises
    ------
    RnnsimError
        As for :func:`rates_of`.
    """
    rate, scales = rates_of(network, given)
    return given if scales.size else rate


def _rate(name: str, given: Any, shape: tuple[int, ...]) -> Array:
    rate = checks.finite(name, checks.numbers(name, given, np.float64))
    if rate.shape not in ((), shape):
        raise RnnsimError(f"{name} has shape {rate.shape}; it is a number, or an array of shape {shape}")
    if (rate < 0).any():
        raise RnnsimError(f"{name} is {shown(given)}; it must be at least 0")
    return rate
