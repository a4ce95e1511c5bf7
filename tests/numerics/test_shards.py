"""A batch that cores take through a window in shards, each in memory of its own."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
from cases import TYPICAL, Sizes, check_against_oracle, make_case

import rnnsim
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.numerics.fields import share
from rnnsim.numerics.linalg import LARGE
from rnnsim.numerics.shards import copy_sequences, number_of_shards, repeated

CUT = dataclasses.replace(TYPICAL, n=48, T=45, B=32)  # enough work to be cut


def work(sizes: Sizes) -> int:
    return sizes.T * sizes.B * sizes.n**2


@pytest.mark.parametrize(
    ("batch", "shards"),
    [(7, 1), (16, 2), (22, 2), (25, 1), (32, 2), (33, 3), (64, 4), (65, 5), (1024, 8)],
)
def test_shards_are_of_one_size_and_not_small(batch: int, shards: int) -> None:
    assert number_of_shards(batch, LARGE) == shards
    assert number_of_shards(batch, LARGE - 1) == 1


@pytest.mark.parametrize(("B", "shards"), [(22, 2), (25, 1), (32, 2), (33, 3)])
def test_the_gradient_of_a_batch_is_the_oracles(B: int, shards: int) -> None:
    """With masks, resets, initial states and absent connections. 25 sequences can't be cut."""
    sizes = dataclasses.replace(CUT, B=B)
    assert number_of_shards(B, work(sizes)) == shards
    check_against_oracle(make_case(sizes), "bptt", {})


def test_a_shard_that_is_left_out_is_noticed() -> None:
    """The control."""
    case = make_case(CUT)
    case.arguments["mask"] = np.where(np.arange(CUT.B) < CUT.B // 2, case.arguments["mask"], 0)
    with pytest.raises(AssertionError):
        check_against_oracle(case, "bptt", {})


@pytest.mark.parametrize(("n", "B", "T"), [(260, 5, 6), (256, 18, 4), (257, 16, 5)])
def test_a_large_network_is_the_oracle(n: int, B: int, T: int) -> None:
    """Its weights lie in panels, the last of which is wider; rows are left over."""
    sizes = dataclasses.replace(TYPICAL, n=n, B=B, T=T)
    case = make_case(sizes)
    assert case.network.trajectory(T, B).W_panels.size > 0
    check_against_oracle(case, "bptt", {})


def test_windows_go_on_where_the_last_one_ended() -> None:
    """Against checkpoints, which are not cut: windows of 40 steps and one of 10."""
    case = make_case(dataclasses.replace(CUT, T=90))
    whole, cut = (case.gradient("bptt", window=40, checkpoint=apart) for apart in (True, False))
    assert cut.loss == pytest.approx(whole.loss, rel=1e-13)
    for found, expected in zip(cut.grads, whole.grads, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.usefixtures("uncompiled")
def test_the_stream_has_the_outputs_and_losses_of_all() -> None:
    case = make_case(dataclasses.replace(CUT, mask="none", resets=False, initial=False))
    inputs, targets = case.arguments["inputs"], case.arguments["targets"]
    learner = rnnsim.Learner(
        case.network, "bptt", params=case.params, batch=CUT.B, learning_rate=0, window=CUT.T
    )
    learnt = learner.learn(inputs, targets)
    outputs = rnnsim.simulate(case.network, case.params, inputs).outputs
    np.testing.assert_allclose(learnt.outputs, outputs, rtol=1e-12, atol=1e-12)
    expected = 0.5 * ((outputs - targets) ** 2).sum((1, 2))
    np.testing.assert_allclose(learnt.losses * CUT.B, expected, rtol=1e-12)


# --- what shards are made of --------------------------------------------------------------------------


class Fields(NamedTuple):
    x: Any
    y: Any
    number: float


@kernel
def copied(x: Any, row: int, begin: int, out: Any, to: int, begin_there: int, count: int) -> None:
    copy_sequences(x, row, begin, out, to, begin_there, count)


@pytest.mark.parametrize("times", [0, 1, 3])
def test_what_is_repeated_is_equal_shares(times: int) -> None:
    fields = Fields(np.arange(6.0).reshape(3, 2), np.zeros((2, 2)), 7.0)
    found = repeated(fields, fields, times)
    assert (found.x.shape, found.y.shape, found.number) == ((3 * times, 2), (2 * times, 2), 7.0)
    for i in range(times):
        np.testing.assert_array_equal(share(found, i, times).x, fields.x)


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("dtype", ["float64", "bool"])
def test_sequences_are_copied_there_and_back(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    whole, own = (rng.random((6, 8, *shape)) * 2).astype(dtype), np.zeros((4, 3, *shape), dtype)
    compiled(copied)(whole, 2, 4, own, 1, 0, 3)
    np.testing.assert_array_equal(own[1:], whole[2:5, 4:7])
    assert not own[0].any()
    back = np.zeros_like(whole)
    compiled(copied)(own, 1, 0, back, 2, 4, 3)
    np.testing.assert_array_equal(back[2:5, 4:7], whole[2:5, 4:7])
    back[2:5, 4:7] = 0
    assert not back.any()  # and nothing else
