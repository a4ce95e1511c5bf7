"""A learner: pieces equal the whole, steps equal rows, and what it holds can be read, set and saved."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnsim
from rnnsim import Learner, RnnsimError
from rnnsim.registry import installed
from rnnsim.training.optimizers import SGD

pytestmark = pytest.mark.usefixtures("uncompiled")

T, B, M, K = 24, 2, 2, 1
RECURRENT = rnnsim.RecurrentNetwork(M, 4, K, leak=0.7)
FAST = rnnsim.FastWeightNetwork(n_slow_in=M, n_in=M, n_out=K, slow_hidden=(3,))
SLOW_START = rnnsim.FastWeightNetwork(n_slow_in=M, n_in=M, n_out=K, slow_hidden=(3,), initial="slow")

# ways of learning on-line: the network, the rule, and what else it is made with
WAYS: list[tuple[Any, str, dict[str, Any]]] = [
    (RECURRENT, "rtrl", {}),
    (RECURRENT, "rtrl", {"window": 3}),
    (RECURRENT, "bptt", {"window": 5}),
    (RECURRENT, "bptt", {"window": 6, "checkpoint": True}),
    (RECURRENT, "truncated-bptt", {"h": 4, "h_prime": 2, "window": 3}),
    (RECURRENT, "truncated-bptt", {"h": 5}),
    (RECURRENT, "rtrl-block", {"h": 3}),
    (RECURRENT, "recurrent-backprop", {}),
    (FAST, "fast-weights-1", {}),
    *((RECURRENT, rule, {}) for rule in ("uoro", "kf-rtrl", "rflo", "snap")),
    (SLOW_START, "rtrl", {"window": 4}),
    (FAST, "bptt", {"window": 5}),
]
STEPPING = [way for way in WAYS if way[1] != "recurrent-backprop"]


def data(seed: int = 0, sequences: int = B) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "inputs": 0.5 * rng.standard_normal((T, sequences, M)),
        "targets": 0.5 * rng.standard_normal((T, sequences, K)),
        "mask": rng.choice([0.0, 0.5, 1.0], (T, sequences)),
        "resets": rng.random((T, sequences)) < 0.1,
    }


def rows(of: dict[str, Any], begin: int, end: int) -> dict[str, Any]:
    return {name: array[begin:end] for name, array in of.items()}


def make(way: tuple[Any, str, dict[str, Any]], **more: Any) -> Learner:
    network, rule, choices = way
    return Learner(network, rule, **{"batch": B, "learning_rate": 0.05, **choices, **more})


def assert_same(one: Learner, two: Learner) -> None:
    for name, mine, theirs in zip(one.params._fields, one.params, two.params, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    np.testing.assert_array_equal(one.state, two.state)


def moved(learner: Learner, params: Any) -> bool:
    return any(np.abs(now - then).max() > 1e-6 for now, then in zip(learner.params, params))


def test_every_rule_learns_so() -> None:
    assert {rule for _, rule, _ in WAYS} | {"fast-weights-2"} == set(installed().rules)


# --- pieces, steps and the whole ----------------------------------------------------------------------


@given(cuts=st.sets(st.integers(1, T - 1), max_size=4), which=st.sampled_from(WAYS), save=st.booleans())
def test_pieces_equal_the_whole_to_the_bit(
    cuts: set[int], which: Any, save: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where it is saved, and another learner loaded, in the middle of a window."""
    all_rows, whole, pieces = data(), make(which), make(which)
    before = whole.params
    learnt = whole.learn(**all_rows)
    whole.flush()
    found = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), T]):
        if save and begin:
            folder = tmp_path_factory.mktemp("learner")
            pieces.save(folder)
            pieces = Learner.load(folder)
        found.append(pieces.learn(**rows(all_rows, begin, end)))
    pieces.flush()
    assert_same(whole, pieces)
    assert moved(whole, before)
    assert whole.steps == pieces.steps == T
    for name in ("outputs", "losses"):
        parts = np.concatenate([getattr(piece, name) for piece in found])
        np.testing.assert_allclose(parts, getattr(learnt, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("way", STEPPING, ids=str)
def test_steps_with_corrections_equal_rows(way: Any) -> None:
    """By targets, or by errors of the same loss."""
    given = data()
    del given["resets"]
    whole, by_target, by_error = make(way), make(way), make(way)
    learnt = whole.learn(**given)
    for u, d, mask, y in zip(given["inputs"], given["targets"], given["mask"], learnt.outputs):
        said = by_target.step(u)
        np.testing.assert_allclose(said, y, rtol=1e-9, atol=1e-12)
        by_target.correct(d, mask=mask)
        by_error.correct(error=by_error.step(u) - d, mask=mask)
    assert_same(whole, by_target)
    for mine, theirs in zip(by_error.params, whole.params):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_a_step_that_is_not_corrected_has_no_target_but_passes_credit() -> None:
    given = data(sequences=1)
    del given["resets"]
    given["mask"] = np.arange(T)[:, None] % 3 == 2.0
    one, two = (Learner(RECURRENT, "rtrl", learning_rate=0.05) for _ in range(2))
    one.learn(**{**given, "mask": given["mask"].astype(float)})
    for u, d, counts in zip(given["inputs"], given["targets"], given["mask"]):
        assert two.step(u[0]).shape == (K,)
        if counts[0]:
            two.correct(d[0])
    two.flush()
    assert_same(one, two)


def test_the_gradient_is_that_of_the_function() -> None:
    """Of one window, by gradient descent."""
    given = data()
    learner = Learner(RECURRENT, "bptt", batch=B, optimizer="sgd", learning_rate=0.1, clip=np.inf)
    before = learner.params
    learner.learn(**given)
    grads = rnnsim.gradient(RECURRENT, before, **given).grads
    for then, now, grad in zip(before, learner.params, grads):
        np.testing.assert_allclose(then - now, 0.1 * grad, rtol=1e-9, atol=1e-12)
    mean = Learner(
        RECURRENT, "bptt", batch=B, optimizer="sgd", learning_rate=0.1, clip=np.inf, reduction="mean"
    )
    mean.learn(**given)
    grads = rnnsim.gradient(RECURRENT, before, **given, reduction="mean").grads
    for then, now, grad in zip(before, mean.params, grads):
        np.testing.assert_allclose(then - now, 0.1 * grad, rtol=1e-9, atol=1e-12)


# --- delayed targets ----------------------------------------------------------------------------------


def delayed(given: dict[str, Any], h: int) -> dict[str, Any]:
    """The rows that are learnt: inputs and resets h rows old, and no target across a reset."""
    since = np.full(given["resets"].shape[1], -1)
    mask = given["mask"].copy()
    for t, resets in enumerate(given["resets"]):
        since = np.where(resets, 0, since + 1)
        mask[t] *= since >= h
    return {
        "inputs": given["inputs"][: T - h], "targets": given["targets"][h:], "mask": mask[h:],
        "resets": given["resets"][: T - h],
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_with_a_delay_old_inputs_are_learnt(way: Any) -> None:
    given, h = data(), 3
    one, two = make(way, delay=h), make(way)
    one.learn(**given)
    two.learn(**delayed(given, h))
    for learner in (one, two):
        learner.flush()
    for mine, theirs in zip(one.params, two.params):
        np.testing.assert_array_equal(mine, theirs)
    other = make(way, delay=h + 1)
    other.learn(**given)
    other.flush()
    assert moved(one, other.params)  # the control


def test_what_is_said_is_of_the_present_row_by_the_weights_of_the_moment() -> None:
    """Against the equations of the network, with the weights of a learner without a delay."""
    given, h = data(sequences=1), 2
    given["resets"][:] = False
    one, two = (Learner(RECURRENT, "rtrl", learning_rate=0.05, delay=delay) for delay in (h, 0))
    said = one.learn(**given).outputs
    x, old = np.zeros(4), delayed(given, h)
    for t in range(T):
        p = two.params  # what has been learnt before row t is spoken
        x = 0.3 * x + 0.7 * np.tanh(p.W @ x + p.U @ given["inputs"][t, 0] + p.b)
        np.testing.assert_allclose(said[t, 0], p.V @ x + p.c, rtol=1e-9, atol=1e-12)
        if t >= h:
            two.learn(**{name: array[t - h : t - h + 1] for name, array in old.items()})
    np.testing.assert_allclose(one.state[0], x, rtol=1e-9, atol=1e-12)


@given(cuts=st.sets(st.integers(1, T - 1), max_size=4), which=st.sampled_from(WAYS), save=st.booleans())
def test_delayed_pieces_equal_the_whole(
    cuts: set[int], which: Any, save: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    all_rows, whole, pieces = data(), make(which, delay=3), make(which, delay=3)
    learnt, found = whole.learn(**all_rows), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), T]):
        if save and begin:
            folder = tmp_path_factory.mktemp("learner")
            pieces.save(folder)
            pieces = Learner.load(folder)
        found.append(pieces.learn(**rows(all_rows, begin, end)))
    for learner in (whole, pieces):
        learner.flush()
    assert_same(whole, pieces)
    outputs = np.concatenate([piece.outputs for piece in found])
    np.testing.assert_allclose(outputs, learnt.outputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("way", STEPPING, ids=str)
def test_delayed_steps_equal_rows(way: Any) -> None:
    given = data()
    given["resets"][:] = False
    whole, single = make(way, delay=3), make(way, delay=3)
    learnt = whole.learn(**given)
    for u, d, mask, y in zip(given["inputs"], given["targets"], given["mask"], learnt.outputs):
        np.testing.assert_allclose(single.step(u), y, rtol=1e-9, atol=1e-12)
        single.correct(d, mask=mask)
    for learner in (whole, single):
        learner.flush()
    assert_same(whole, single)


# --- what it holds ------------------------------------------------------------------------------------


def test_a_prediction_moves_nothing() -> None:
    given = data()
    one, two = make(WAYS[0]), make(WAYS[0])
    one.learn(**given)
    two.learn(**rows(given, 0, 10))
    follows = two.predict(given["inputs"][10:], resets=given["resets"][10:])
    assert follows.shape == (T - 10, B, K)
    assert np.array_equal(follows, two.predict(given["inputs"][10:], resets=given["resets"][10:]))
    frozen = make(WAYS[0], params=two.params, learning_rate=0)
    frozen.state = two.state
    learnt = frozen.learn(**rows(given, 10, T))
    np.testing.assert_allclose(follows, learnt.outputs, rtol=1e-12)
    two.learn(**rows(given, 10, T))
    assert_same(one, two)


@pytest.mark.parametrize("way", STEPPING, ids=str)
def test_a_reset_is_a_row_of_resets(way: Any) -> None:
    given, reset_state = data(), None
    if way[0] is RECURRENT:
        reset_state = np.full(4, 0.3)
    one, two = (make(way, reset_state=reset_state) for _ in range(2))
    given["resets"][13] = True
    one.learn(**given)
    two.learn(**rows(given, 0, 13))
    two.reset()
    if way[0] is RECURRENT:
        assert np.array_equal(two.state, np.full((B, 4), 0.3))
    given["resets"][13] = False
    two.learn(**rows(given, 13, T))
    assert_same(one, two)


def test_to_assign_a_state_is_to_reset_to_it() -> None:
    """Sensitivities are zero then: as of a learner that begins there."""
    given, x = data(), np.full((B, 4), 0.25)
    del given["resets"]
    one = make(WAYS[0], optimizer="sgd")
    one.learn(**rows(given, 0, 9))
    one.state = x
    two = make(WAYS[0], optimizer="sgd", params=one.params)
    two.state = x
    for learner in (one, two):
        learner.learn(**rows(given, 9, T))
    assert_same(one, two)


@given(cut=st.integers(1, T - 1), which=st.sampled_from(WAYS), delay=st.sampled_from([0, 2]))
def test_another_learner_goes_on_with_the_memory(cut: int, which: Any, delay: int) -> None:
    """The window that is not complete, history and rows that wait for their targets included."""
    choices = {"optimizer": "sgd", "delay": 0 if which[1] == "recurrent-backprop" else delay}
    all_rows, whole, first = data(), make(which, **choices), make(which, **choices)
    whole.learn(**all_rows)
    first.learn(**rows(all_rows, 0, cut))
    second = make(which, params=first.params, **choices)
    second.state = first.state
    second.memory = first.memory
    assert second.steps == first.steps
    first.learn(**rows(all_rows, cut, T))  # what was read is a copy
    second.learn(**rows(all_rows, cut, T))
    assert_same(first, second)
    assert_same(whole, second)


def test_a_learner_goes_on_from_a_gradient_and_a_gradient_from_a_learner() -> None:
    all_rows = data()
    early, late = rows(all_rows, 0, 9), rows(all_rows, 9, T)
    learner = Learner(RECURRENT, "rtrl", batch=B, learning_rate=0.0)
    params, whole = learner.params, rnnsim.gradient(RECURRENT, learner.params, **all_rows, rule="rtrl",
                                                    window=1)  # fmt: skip
    piece = rnnsim.gradient(RECURRENT, params, **early, rule="rtrl", window=1)
    learner.state = piece.state
    learner.memory = piece.memory
    learner.learn(**late)
    learnt, expected = learner.memory.memory, whole.memory.memory
    np.testing.assert_allclose(learnt.p, expected.p, rtol=1e-10, atol=1e-13)
    learner.state = piece.state  # which forgets the memory
    learner.learn(**late)
    assert not np.allclose(learner.memory.memory.p, expected.p)
    other = Learner(RECURRENT, "rtrl", batch=B, params=params, learning_rate=0.0)
    other.learn(**early)
    rest = rnnsim.gradient(RECURRENT, params, **late, rule="rtrl", window=1, memory=other.memory,
                           initial_state=other.state)  # fmt: skip
    for a, b, both in zip(piece.grads, rest.grads, whole.grads):
        np.testing.assert_allclose(a + b, both, rtol=1e-10, atol=1e-13)


def test_memory_of_something_else_is_refused() -> None:
    learner = Learner(RECURRENT, "truncated-bptt", h=4, window=3, batch=B)
    learner.learn(**rows(data(), 0, 7))
    fits = learner.memory
    for message, other in [
        ("the rule is", Learner(RECURRENT, "rtrl", batch=B)),
        ("of 2 sequences; there are 1", Learner(RECURRENT, "truncated-bptt", h=4, window=3)),
        ("window is 2; that of the memory is 3",
         Learner(RECURRENT, "truncated-bptt", h=4, window=2, batch=B)),
        ("delay is 1; that of the memory is 0",
         Learner(RECURRENT, "truncated-bptt", h=4, window=3, batch=B, delay=1)),
    ]:  # fmt: skip
        with pytest.raises(RnnsimError, match=message):
            other.memory = fits
    with pytest.raises(RnnsimError, match="flush the learner first"):
        rnnsim.gradient(RECURRENT, learner.params, **data(), rule="truncated-bptt", h=4, memory=fits)
    with pytest.raises(RnnsimError, match="not int"):
        learner.memory = 3  # type: ignore[assignment]
    larger = rnnsim.RecurrentNetwork(M, 6, K)
    with pytest.raises(RnnsimError, match="another network"):
        Learner(larger, "truncated-bptt", h=4, window=3, batch=B).memory = fits


def test_another_rule_goes_on_with_the_parameters() -> None:
    given = data()
    first = make(WAYS[2])
    first.learn(**given)
    second = make(WAYS[0], params=first.params)
    assert all(np.array_equal(a, b) for a, b in zip(first.params, second.params))
    second.params = RECURRENT.init(3)
    assert all(np.array_equal(a, b) for a, b in zip(second.params, RECURRENT.init(3)))


def test_results_are_the_callers_own() -> None:
    given, learner = data(), make(WAYS[0])
    y = learner.step(given["inputs"][0])
    kept = y.copy()
    learner.step(given["inputs"][1])
    assert np.array_equal(y, kept)
    learnt = learner.learn(**given)
    outputs = learnt.outputs.copy()
    learner.learn(**given)
    assert np.array_equal(learnt.outputs, outputs)
    learner.params.W[:] = 9
    learner.state[:] = 9
    assert learner.params.W.max() < 9
    assert np.abs(learner.state).max() < 9


# --- rates --------------------------------------------------------------------------------------------


def test_parameters_may_be_frozen_and_rates_be_of_entries() -> None:
    given = data()
    rate = np.zeros((4, 4))
    rate[1, 2] = 0.05
    own = make(WAYS[0], learning_rate={"W": rate, "c": 0.01}, clip=np.inf, optimizer="sgd")
    before = own.params
    own.learn(**rows(given, 0, 1))
    changed = {name: now - then for name, now, then in zip(before._fields, own.params, before)}
    everywhere = make(WAYS[0], learning_rate=1.0, clip=np.inf, optimizer="sgd")
    everywhere.learn(**rows(given, 0, 1))
    step = {name: now - then for name, now, then in zip(before._fields, everywhere.params, before)}
    np.testing.assert_allclose(changed["c"], 0.01 * step["c"], rtol=1e-9)
    np.testing.assert_allclose(changed["W"], rate * step["W"], rtol=1e-9, atol=1e-15)
    assert all(not changed[name].any() for name in ("U", "b", "V"))


def test_schedules() -> None:
    """Of a constant gradient: the update of each step is the rate."""
    network = rnnsim.RecurrentNetwork(1, 1, 1)
    zeros = network.views(np.zeros(network.n_params))
    found = {}
    for name in ("constant", "linear", "cosine", "step"):
        learner = Learner(
            network, "rtrl", params=zeros, optimizer="sgd", learning_rate={"c": 0.5}, clip=np.inf,
            schedule=name, schedule_steps=4,
        )  # fmt: skip
        biases = [0.0]
        for _ in range(6):
            learner.step(np.zeros(1))
            learner.correct(error=np.ones(1))
            biases.append(float(learner.params.c[0]))
        found[name] = -np.diff(biases)
    t = np.arange(6)
    np.testing.assert_allclose(found["constant"], 0.5)
    np.testing.assert_allclose(found["linear"], 0.5 * np.maximum(0, 1 - t / 4), atol=1e-15)
    np.testing.assert_allclose(found["cosine"], 0.25 * (1 + np.cos(np.pi * np.minimum(1, t / 4))),
                               atol=1e-15)  # fmt: skip
    np.testing.assert_allclose(found["step"], 0.5 * 0.1 ** (t // 4))


def test_weights_decay_apart_from_the_gradient() -> None:
    learner = make(WAYS[0], learning_rate=0.1, weight_decay=0.5, optimizer="adam")
    before = learner.params
    learner.learn(np.zeros((3, B, M)), np.zeros((3, B, K)), mask=np.zeros((3, B)))
    for then, now in zip(before, learner.params):
        np.testing.assert_allclose(now, 0.95**3 * then, rtol=1e-12)


# --- mistakes -----------------------------------------------------------------------------------------


def test_mistakes_are_named() -> None:
    learner = make(WAYS[0])
    with pytest.raises(RnnsimError, match="correct follows a step"):
        learner.correct(np.zeros((B, K)))
    with pytest.raises(RnnsimError, match=r"u has shape \(3,\); expected \(2, 2\)"):
        learner.step(np.zeros(3))
    with pytest.raises(RnnsimError, match="u holds nan"):
        learner.step(np.full((B, M), np.nan))
    learner.step(np.zeros((B, M)))
    with pytest.raises(RnnsimError, match="target= or error="):
        learner.correct()
    with pytest.raises(RnnsimError, match=r"target has shape \(2,\)"):
        learner.correct(np.zeros(2))
    learner.correct(np.zeros((B, K)))
    with pytest.raises(RnnsimError, match="correct follows a step"):
        learner.correct(np.zeros((B, K)))
    with pytest.raises(RnnsimError, match="3 sequences; batch is 2"):
        learner.learn(np.zeros((4, 3, M)), np.zeros((4, 3, K)))
    with pytest.raises(RnnsimError, match="bptt has no window of its own: step needs window="):
        Learner(RECURRENT, "bptt").step(np.zeros(M))
    with pytest.raises(RnnsimError, match="momentum"):
        Learner(RECURRENT, "rtrl", momentum=0.5)


def test_a_second_thread_is_refused() -> None:
    learner, said = make(WAYS[0]), list[str]()

    def other() -> None:
        try:
            learner.step(np.zeros((B, M)))
        except RnnsimError as error:
            said.append(str(error))

    with learner._alone:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said == ["another thread is using this learner; each thread needs its own"]


def test_folders_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=r"is not a saved learner: there is no learner\.toml"):
        Learner.load(tmp_path)
    own = rnnsim.RecurrentNetwork(M, 2, K, activation=(np.tanh, lambda a: 1 - np.tanh(a) ** 2))
    learner = Learner(own, "rtrl")
    learner.save(tmp_path / "own")
    with pytest.raises(RnnsimError, match="give it by network="):
        Learner.load(tmp_path / "own")
    loaded = Learner.load(tmp_path / "own", network=own)
    assert_same(learner, loaded)
    whole = tmp_path / "whole"
    make(WAYS[0]).save(whole)
    for name, damage in (("learner.toml", b"x = ["), ("arrays.safetensors", b"\0" * 40)):
        place = next(whole.rglob(name))
        kept = place.read_bytes()
        place.write_bytes(damage)
        with pytest.raises(RnnsimError, match="damaged"):
            Learner.load(whole)
        place.write_bytes(kept)
    assert_same(Learner.load(whole), make(WAYS[0]))


class Mine(SGD, frozen=True):
    """An optimizer of one's own."""

    name = "mine"


@pytest.mark.usefixtures("uncompiled")
def test_an_optimizer_of_ones_own_is_given_again(tmp_path: Path) -> None:
    net = rnnsim.RecurrentNetwork(2, 3, 1)
    Learner(net, optimizer=Mine(), learning_rate=0.5).save(tmp_path)
    with pytest.raises(RnnsimError, match=r"the optimizer of this learner is .* by optimizer=$"):
        Learner.load(tmp_path)
    assert Learner.load(tmp_path, optimizer=Mine()).optimizer == Mine()
