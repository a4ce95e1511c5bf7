"""Controls: a broken network for each check of a network, which must not pass it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kit import fails, passes

import rnnsim
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.testing import Check, check_network
from rnnsim.testing.cases import copy_of, networks_of
from rnnsim.testing.checking import network_checks

pytestmark = pytest.mark.usefixtures("uncompiled")

RIGHT = networks_of("recurrent")["recurrent feedback=exact"]


def checks_of(network: Network) -> list[Check]:
    return network_checks(network)


def forward_with(alter: Any = None, **changed: Any) -> Network:
    """A network whose ``forward`` reads a stream that is changed, or with something done after it."""
    forward = RIGHT.forward

    @kernel
    def broken(
        params: Any, state: Any, stream: Any, row: int, trajectory: Any, first: int, count: int
    ) -> None:
        seen = stream
        for name, change in changed.items():
            seen = seen._replace(**{name: change(getattr(seen, name))})
        forward(params, state, seen, row, trajectory, first, count)
        if alter is not None:
            alter(stream, row, trajectory, first, count)

    return copy_of(RIGHT, forward=broken)


def undivided(stream: Any, row: int, trajectory: Any, first: int, count: int) -> None:
    """dE/dy is not divided by B."""
    B = trajectory.error.shape[1]
    trajectory.error[first : first + count] *= B
    trajectory.output_error[first : first + count] *= B


def divided_losses(stream: Any, row: int, trajectory: Any, first: int, count: int) -> None:
    stream.losses[row : row + count] /= trajectory.error.shape[1]


def overwriting(stream: Any, row: int, trajectory: Any, first: int, count: int) -> None:
    trajectory.states[:first] += 1


def after(name: str, place: int, change: Any) -> Network:
    """A network with a kernel of which the argument at ``place`` is changed afterwards."""
    whole = getattr(RIGHT, name)

    @kernel
    def broken(*arguments: Any) -> None:
        whole(*arguments)
        change(arguments[place])

    return copy_of(RIGHT, **{name: broken})


def halve(x: Any) -> None:
    for part in x if isinstance(x, tuple) else (x,):
        part[...] *= 0.5


def halve_first(x: Any) -> None:
    x[0] *= 0.5


def transpose(x: np.ndarray) -> None:
    x[:] = x.T.copy()


def transposed_jvp(params: Any, trajectory: Any, t: int, v: np.ndarray, out: np.ndarray) -> None:
    J = np.zeros((v.shape[2], v.shape[2]))
    for b in range(v.shape[1]):
        RIGHT.jacobian(params, trajectory, t, b, J)
        out[:, b] = v[:, b] @ J


def crossing_vjp(
    params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any, delta: Any,
    before: Any,
) -> None:  # fmt: skip
    """Credit crosses resets."""
    resets = trajectory.resets[t].copy()
    trajectory.resets[t] = False
    RIGHT.vjp(params, trajectory, t, begin, end, own_error, after, delta, before)
    trajectory.resets[t] = resets


def all_sequences(
    params: Any, trajectory: Any, t: int, begin: int, end: int, row: Any, grad: Any
) -> None:
    RIGHT.immediate(params, trajectory, t, 0, len(row), row, grad)


def nothing(*_: Any) -> None:
    pass


def forgets_a_field(trajectory: Any, first: int, count: int) -> None:
    entering = trajectory.entering.copy()
    RIGHT.keep_history(trajectory, first, count)
    trajectory.entering[:] = entering


def saves_everywhere(state: Any, states: Any, i: int) -> None:
    for j in range(len(states.x)):
        RIGHT.save(state, states, j)


def replaced(**kernels: Any) -> Network:
    return copy_of(RIGHT, **{
        name: kernel(part) if callable(part) else part for name, part in kernels.items()
    })  # fmt: skip


def test_right_networks_pass() -> None:
    report = check_network(RIGHT)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("network", "check", "saying"),
    [
        (forward_with(undivided), "gradient by", "in "),
        (forward_with(undivided), "scaling of errors", "3 times it"),
        (forward_with(divided_losses), "scaling of losses", ""),
        (forward_with(overwriting), "forward", "rows before it"),
        (forward_with(mask=np.ones_like), "masks", "masked targets count"),
        (forward_with(resets=np.zeros_like), "resets", ""),
        (replaced(vjp=crossing_vjp), "vjp,", "crosses a reset"),
        (replaced(vjp=crossing_vjp), "gradient by vjp", "in "),
        (after("vjp", 8, halve), "vjp,", ""),
        (after("vjp", 7, halve), "collect,", ""),
        (replaced(jvp=transposed_jvp), "jvp", ""),
        (after("jacobian", 4, transpose), "jacobian,", ""),
        (replaced(jacobian_pattern=np.eye(5, dtype=bool)), "jacobian_pattern", "outside"),
        (after("collect", 4, halve), "collect,", ""),
        (after("collect_inputs", 6, halve), "collect_inputs", ""),
        (after("collect_rows", 4, halve), "collect_rows", ""),
        (after("contract", 3, halve), "collect_rows", ""),
        (after("immediate", 6, halve_first), "immediate,", ""),
        (replaced(immediate=all_sequences), "immediate, some sequences", ""),
        (after("immediate_entries", 4, halve_first), "immediate_entries", ""),
        (replaced(owner=RIGHT.owner[::-1].copy()), "immediate_entries", "does not own"),
        (after("immediate_factors", 4, halve_first), "immediate_factors", ""),
        (after("propagate", 5, halve), "gradient by propagate", "in "),
        (after("propagate", 5, halve), "gradients by", "in "),
        (after("propagate", 5, halve), "propagate", ""),
        (replaced(restore=nothing), "save and restore", "other bits"),
        (replaced(save=saves_everywhere), "save and restore", "other places"),
        (replaced(keep_history=forgets_a_field), "keep_history", "apart"),
    ],
)
def test_broken_networks_fail(network: Network, check: str, saying: str) -> None:
    fails(checks_of(network), check, saying)


def test_an_error_that_is_not_added_is_found() -> None:
    def deaf(
        params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
        delta: Any, before: Any,
    ) -> None:  # fmt: skip
        RIGHT.vjp(params, trajectory, t, begin, end, False, after, delta, before)

    fails(checks_of(replaced(vjp=deaf)), "vjp with the own error")
    passes(checks_of(replaced(vjp=deaf)), "vjp,")


def test_networks_without_resets_pass_where_these_are_ignored() -> None:
    passes(checks_of(forward_with(resets=np.zeros_like)), "masks", "scaling")


def test_networks_are_given_by_kind_class_or_object() -> None:
    for network in ("recurrent", rnnsim.RecurrentNetwork, RIGHT):
        passes(network_checks(network), "scaling of losses")
    with pytest.raises(rnnsim.RnnsimError, match="a kind, a class"):
        network_checks(3)  # type: ignore[arg-type]
