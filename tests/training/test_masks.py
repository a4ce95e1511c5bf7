"""What does not count: masks of targets and of outputs, masked arrays, padding."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import numpy as np
import pytest
from cases import TYPICAL, Case, assert_equal_gradients, drawn_sizes, existing, make_case
from fast_weight_cases import FAST_TYPICAL, make_fast_case
from hypothesis import given
from hypothesis import strategies as st

import rnnsim
from rnnsim import RecurrentNetwork, RnnsimError

LOSSES = ["squared-error", "logistic-cross-entropy"]
NAN = np.nan


def oracle_of_outputs(case: Case, weights: np.ndarray) -> tuple[float, naive.Gradient]:
    """The sum over outputs: of each output alone, with its mask, the others having none."""
    loss, total = 0.0, None
    value, slope = case.net.loss, case.net.dloss
    for o in range(weights.shape[2]):

        def alone(y: Any, d: Any, o: int = o) -> Any:
            return value(y[o : o + 1], d[o : o + 1])

        def slope_alone(y: Any, d: Any, o: int = o) -> Any:
            out = np.zeros_like(y)
            out[o] = slope(y[o : o + 1], d[o : o + 1])[0]
            return out

        net = case.net._replace(loss=alone, dloss=slope_alone)
        data = case.data._replace(mask=weights[..., o])
        loss += naive.run(net, data).loss
        grad = naive.bptt(net, data)
        total = grad if total is None else {name: total[name] + grad[name] for name in grad}
    assert total is not None
    return loss, total


@pytest.mark.usefixtures("uncompiled")
@given(sizes=drawn_sizes(), loss=st.sampled_from(LOSSES), rule=st.sampled_from(["bptt", "rtrl"]))
def test_each_output_may_have_a_mask(sizes: Any, loss: str, rule: str) -> None:
    case = make_case(sizes, loss=loss)
    rng = np.random.default_rng(sizes.seed)
    weights = rng.choice([0.0, 0.5, 2.0], (sizes.T, sizes.B, sizes.k))
    targets = np.where(weights == 0, NAN, case.arguments["targets"])
    found = case.changed(mask=weights, targets=targets).gradient(rule)
    value, gradient = oracle_of_outputs(case, weights)
    assert found.loss == pytest.approx(value, rel=1e-10, abs=1e-12)
    assert_equal_gradients(found.grads, existing(case, gradient), 1e-10, 1e-12)


def test_so_in_machine_code_and_in_shards() -> None:
    """Of 32 sequences, each thread takes some; the mask of all outputs together is the control."""
    case = make_case(dataclasses.replace(TYPICAL, n=40, T=30, B=32, sparse=False))
    shape = case.arguments["targets"].shape
    weights = np.random.default_rng(0).choice([0.0, 0.5, 2.0], shape)
    value, gradient = oracle_of_outputs(case, weights)
    found = case.changed(mask=weights).gradient("bptt")
    assert found.loss == pytest.approx(value, rel=1e-10)
    assert_equal_gradients(found.grads, gradient, 1e-10)
    one = weights[..., 0]
    whole = case.changed(mask=one).gradient("bptt")
    each = case.changed(mask=np.repeat(one[..., None], shape[2], axis=2)).gradient("bptt")
    assert_equal_gradients(each.grads, whole.grads._asdict(), 1e-12)
    assert each.loss == pytest.approx(whole.loss, rel=1e-12)
    assert found.loss != pytest.approx(whole.loss, rel=1e-3)


@pytest.mark.usefixtures("uncompiled")
def test_a_fast_weight_network_takes_one_too() -> None:
    case = make_fast_case(dataclasses.replace(FAST_TYPICAL, n_out=2))
    shape = case.arguments["targets"].shape
    keep = np.zeros(shape)
    keep[..., 1] = 1
    first, second = (case.changed(mask=mask) for mask in (1 - keep, keep))
    whole = case.changed(mask=np.ones(shape[:2]))
    assert first.loss() + second.loss() == pytest.approx(whole.loss(), rel=1e-12)
    assert first.loss() != pytest.approx(second.loss())


@pytest.mark.usefixtures("uncompiled")
def test_one_sequence_needs_no_batch_axis() -> None:
    network = RecurrentNetwork(1, 2, 2)
    inputs, targets, mask = np.ones((4, 1)), np.zeros((4, 2)), np.eye(4, 2)
    params = network.init()
    flat = rnnsim.loss(network, params, inputs, targets, mask=mask)
    assert flat == rnnsim.loss(network, params, inputs[:, None], targets[:, None], mask=mask[:, None])


OWN_SUM = (lambda y, d: float(((y - d) ** 2).sum()), lambda y, d: 2 * (y - d))
OWN_PRODUCT = (lambda y, d: float(y[0] * y[1]), lambda y, d: np.array([y[1], y[0]]))


@pytest.mark.usefixtures("uncompiled")
def test_only_for_losses_that_are_a_sum_over_outputs() -> None:
    arguments = np.ones((3, 1, 1)), np.full((3, 1, 2), 0.5)
    mask = np.ones((3, 1, 2))
    for loss in ("softmax-cross-entropy", OWN_PRODUCT):
        network = RecurrentNetwork(1, 2, 2, loss=loss)
        with pytest.raises(RnnsimError, match="a mask of each output needs a loss that is a sum"):
            rnnsim.loss(network, network.init(), *arguments, mask=mask)
    network = RecurrentNetwork(1, 2, 2, loss=OWN_SUM)
    found = rnnsim.loss(network, network.init(), *arguments, mask=mask)
    assert found == pytest.approx(rnnsim.loss(network, network.init(), *arguments))


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("shape", [(3, 1, 3), (2, 1, 2), (3, 2, 2)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    network = RecurrentNetwork(1, 2, 2)
    with pytest.raises(RnnsimError, match=r"mask has shape .*expected"):
        rnnsim.loss(network, network.init(), np.ones((3, 1, 1)), np.ones((3, 1, 2)), mask=np.ones(shape))


# --- masked arrays ---


@pytest.mark.usefixtures("uncompiled")
def test_what_a_masked_array_masks_is_no_target() -> None:
    network = RecurrentNetwork(1, 2, 2)
    params, inputs = network.init(), np.ones((3, 2, 1))
    values = np.arange(12.0).reshape(3, 2, 2)
    for hidden in (values == 5, (values // 2) == 1):  # an output, and a target
        targets = np.ma.array(np.where(hidden, 1e6, values), mask=hidden)
        found = rnnsim.gradient(network, params, inputs, targets)
        expected = rnnsim.gradient(network, params, inputs, values, mask=~hidden)
        assert found.loss == expected.loss
        assert_equal_gradients(found.grads, expected.grads._asdict(), 0)
        halved = rnnsim.loss(network, params, inputs, targets, mask=np.full((3, 2), 0.5))
        assert halved == pytest.approx(0.5 * found.loss)


@pytest.mark.usefixtures("uncompiled")
def test_a_whole_target_may_be_masked_whatever_the_loss() -> None:
    network = RecurrentNetwork(1, 2, 2, loss="softmax-cross-entropy")
    targets = np.full((3, 1, 2), 0.5)
    hidden = np.zeros((3, 1, 2), bool)
    hidden[1] = True
    inputs, params = np.ones((3, 1, 1)), network.init()
    found = rnnsim.loss(network, params, inputs, np.ma.array(targets, mask=hidden))
    assert found == rnnsim.loss(network, params, inputs, targets, mask=[[1], [0], [1]])


# --- padding ---


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("value", [NAN, np.inf])
def test_padding_may_be_anything(value: float) -> None:
    """Where no target follows in the sequence: inputs and targets."""
    case = make_case(dataclasses.replace(TYPICAL, mask="none"))
    mask = np.ones((TYPICAL.T, TYPICAL.B))
    mask[4:, 0] = mask[6:, 2] = 0
    expected = case.changed(mask=mask).gradient("bptt")
    inputs, targets = (case.arguments[name].copy() for name in ("inputs", "targets"))
    for array in (inputs, targets):
        array[4:, 0] = array[6:, 2] = value
    found = case.changed(mask=mask, inputs=inputs, targets=targets).gradient("bptt")
    assert found.loss == expected.loss
    assert_equal_gradients(found.grads, expected.grads._asdict(), 0)
    inputs[3, 0] = value  # the control: a target follows
    mask[3, 0] = 0
    for counted, refused in ((0, False), (1, True)):
        mask[4, 0] = counted
        broken = case.changed(mask=mask, inputs=inputs, targets=np.nan_to_num(targets, posinf=0))
        if refused:
            with pytest.raises(RnnsimError, match=r"inputs holds .* at \(3, 0, 0\)"):
                broken.gradient("bptt")
        else:
            broken.gradient("bptt")
