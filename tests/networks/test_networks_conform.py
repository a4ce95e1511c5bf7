"""Every network is what it says: the kit's checks, of each kind and of every composition."""

from __future__ import annotations

from typing import Any

import fast_weight_cases as fast
import pytest
from cases import TYPICAL, make_case

from rnnsim.network import Network
from rnnsim.registry import installed
from rnnsim.testing import Check
from rnnsim.testing.checking import network_checks

ACTIVATIONS = ("tanh", "logistic", "softplus", "identity")
COMPILED = "compiled, recurrent feedback=exact"
LOSSES = ("squared-error", "softmax-cross-entropy", "logistic-cross-entropy")


def composed() -> list[Network]:
    """Activations, readouts and losses of the one kind, and what the other can be made of."""
    recurrent: list[Network] = [
        make_case(TYPICAL, activation, readout, loss).network
        for activation, readout, loss in (
            *((activation, "linear", "squared-error") for activation in ACTIVATIONS),
            *(("tanh", "units", loss) for loss in LOSSES),
        )
    ]
    return [*recurrent, *(fast.make_network(fast.FAST_TYPICAL, each) for each in smooth())]


def smooth() -> list[Any]:
    """Without the kink of relu, at which differences are no derivatives."""
    return [each for each in fast.COMPOSITIONS if "relu" not in str((each.hidden, each.output))]


# Of the checks of compiled code one is enough here: every rule compiles the same kernels.
KINDS = [
    check
    for kind in installed().networks
    for check in network_checks(kind)
    if not check.name.startswith(("compiled", "float32")) or check.name == COMPILED
]
COMPOSED = [check for network in composed() for check in network_checks(network)]


@pytest.mark.parametrize("check", KINDS, ids=lambda check: check.name)
def test_it_is_what_it_says(check: Check) -> None:
    finding = check.run()
    assert finding.passed is not False, str(finding)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("check", COMPOSED, ids=lambda check: check.name)
def test_it_is_what_it_says_whatever_it_is_made_of(check: Check) -> None:
    finding = check.run()
    assert finding.passed is not False, str(finding)
