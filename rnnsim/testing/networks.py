"""Whether a network computes what it says: losses, gradients of sequences, resets, masks and copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from rnnsim.compiler import uncompiled
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.testing import one_step
from rnnsim.testing.cases import (
    PLAIN,
    STEPS,
    Case,
    Ran,
    flattened,
    has_dtypes,
    in_single,
    make_case,
    networks_of,
)
from rnnsim.testing.measures import DIFFERENCES, EQUAL, SINGLE, TINY, deviation, differences, slope
from rnnsim.testing.one_step import within
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import trains
from rnnsim.testing.sweeps import Backwards, Forwards
from rnnsim.typing import Array

MIDDLE = 5  # a row in the middle of a sequence
WAYS: dict[Rule, str] = {Backwards(): "vjp and collect", Forwards(): "propagate"}


def checks(network: str | Network | type[Network], seed: int) -> Iterator[Check]:
    """The checks of each network of a kind or a class, or of one that is made."""
    made = {network.kind: network} if isinstance(network, Network) else networks_of(network)
    for name, one in made.items():
        for check in (*_of_sequences(one, seed), *one_step.checks(one, seed)):
            yield check._replace(name=f"{check.name}, {name}", measure=partial(_plainly, check.measure))
        if one.feedback == "exact" and not name.endswith(PLAIN):  # the others compile much the same
            yield from _compiled_checks(name, one, seed)


def _plainly(measure: Callable[[], Measured]) -> Measured:
    with uncompiled():
        return measure()


def _of_sequences(network: Network, seed: int) -> Iterator[Check]:
    case = partial(make_case, network, seed)
    close, equal = f"within {DIFFERENCES:g} of finite differences", f"within {EQUAL:g}"
    ways = {rule: what for rule, what in WAYS.items() if trains(rule, network)}
    for rule, what in ways.items() if network.feedback == "exact" else ():
        yield Check(
            f"gradient by {what}",
            f"the derivative of the loss, {close}",
            partial(_gradient, case, rule),
        )
    if len(ways) > 1:
        yield Check(
            f"gradients by {' and by '.join(ways.values())}", f"equal, {equal}", partial(_agree, case)
        )
    for sweep in [*ways][:1]:
        yield Check(
            "scaling of errors",
            f"the gradient of a batch is the mean of its sequences', {equal}",
            partial(_scaling_of_errors, case, sweep),
        )
    yield Check(
        "scaling of losses",
        f"the loss of a batch is the mean of its sequences', {equal}",
        partial(_scaling_of_losses, case),
    )
    yield Check(
        "masks",
        f"what is masked may be anything, and the loss is linear in the weights, {equal}",
        partial(_masks, case),
    )
    yield Check(
        "resets", f"what follows a reset is a sequence of its own, {equal}", partial(_resets, case)
    )
    yield Check(
        "forward",
        f"steps together are those one by one, {equal}, and rows before them stay",
        partial(_forward, case),
    )
    yield Check("save and restore", "the steps that follow have the same bits", partial(_restored, case))
    if trains(Backwards(), network):
        yield Check(
            "keep_history",
            "rows that are moved have the same derivatives to the bit",
            partial(_kept, case),
        )
        if network.collect_inputs is not None and network.feedback == "exact":
            yield Check(
                "collect_inputs", f"the derivative by the inputs, {close}", partial(_inputs, case)
            )


def _compiled_checks(name: str, network: Network, seed: int) -> Iterator[Check]:
    if not trains(Backwards(), network):
        return
    case = partial(make_case, network, seed)
    yield Check(f"compiled, {name}", f"as uncompiled, within {EQUAL:g}", partial(_compiled, case, False))
    if has_dtypes(network):
        yield Check(f"float32, {name}", f"as float64, within {SINGLE:g}", partial(_compiled, case, True))


Make = Callable[..., Case]


# --- sequences ---------------------------------------------------------------------------------------


def _gradient(make: Make, rule: Rule) -> Measured:
    case = make()
    return differences(case, case.flat_gradient(rule)).within(DIFFERENCES)


def _agree(make: Make) -> Measured:
    case = make()
    backwards, forwards = (case.flat_gradient(rule) for rule in WAYS)
    return deviation(case.network, forwards, backwards).within(EQUAL)


def _scaling_of_errors(make: Make, rule: Rule) -> Measured:
    case = make()
    each = [case.sequence(b).flat_gradient(rule) for b in range(len(case.data["inputs"][0]))]
    found, expected = case.flat_gradient(rule), np.mean(each, axis=0)
    off = deviation(case.network, found, expected)
    times = float(found @ expected / max(expected @ expected, TINY))
    return Measured(f"{times:.4g} times it, {off.error:.2g} off", off.error <= EQUAL)


def _scaling_of_losses(make: Make) -> Measured:
    case = make()
    each = [case.sequence(b).loss() for b in range(len(case.data["inputs"][0]))]
    return within(np.array(case.loss()), np.array(np.mean(each)), EQUAL)


def _masks(make: Make) -> Measured:
    case = make()
    mask, targets = case.data["mask"], case.data["targets"]
    anything = np.where((mask == 0)[..., None], 1e6, targets)
    worst = within(np.array(case.changed(targets=anything).loss()), np.array(case.loss()), EQUAL)
    if not worst.passed:
        return Measured(f"masked targets count: {worst.text}", False)
    rng = np.random.default_rng(3)
    weights = [rng.random(mask.shape) for _ in range(2)]
    if case.network.sums_outputs:
        weights = [rng.random(targets.shape) for _ in range(2)]
    apart = sum(case.changed(mask=weight).loss() for weight in weights)
    return within(np.array(case.changed(mask=weights[0] + weights[1]).loss()), np.array(apart), EQUAL)


def _resets(make: Make) -> Measured:
    """Two sequences in one, of which the second begins with a reset, and each by itself."""
    case = make()
    resets = np.zeros(case.data["mask"].shape, np.bool_)
    resets[MIDDLE] = True
    whole = case.changed(resets=resets)
    first = case.changed(resets=None).rows(0, MIDDLE)
    second = case.changed(resets=None, initial_state=case.data.get("reset_state"))
    apart = first.loss() + second.rows(MIDDLE, STEPS).loss()
    return within(np.array(whole.loss()), np.array(apart), EQUAL)


def _forward(make: Make) -> Measured:
    case = make()
    whole, network = case.ran(), case.network
    ran = _begun(case)
    for t in range(STEPS):
        rows = [(x, x[:t].copy()) for x in _by_step(ran)]
        network.forward(ran.params, ran.state, ran.stream, t, ran.trajectory, t, 1)
        if any(not np.array_equal(x[:t], before) for x, before in rows):
            return Measured("a step changes rows before it", False)
    found, expected = (
        np.concatenate([r.trajectory.states.ravel(), r.stream.outputs.ravel(), r.stream.losses])
        for r in (ran, whole)
    )
    return within(found, expected, EQUAL)


def _by_step(ran: Ran) -> list[Array]:
    """The fields of a trajectory that every network has."""
    return [ran.trajectory.states, ran.trajectory.entering, ran.trajectory.error]


def _begun(case: Case) -> Ran:
    """The arrays of a run that has done nothing yet: its first step is run again."""
    ran = case.ran()
    network, data = case.network, case.data
    state = network.state(len(data["inputs"][0]), data.get("initial_state"), data.get("reset_state"))
    return ran._replace(state=state, trajectory=network.trajectory(STEPS, len(data["inputs"][0])))


def _restored(make: Make) -> Measured:
    """Go on, restore, and go on again; other places stay as they are."""
    case = make()
    network, ran = case.network, _begun(case)
    batch, count = len(case.data["inputs"][0]), STEPS - MIDDLE
    network.forward(ran.params, ran.state, ran.stream, 0, ran.trajectory, 0, MIDDLE)
    kept = network.states(3, batch)
    network.save(ran.state, kept, 1)
    others = kept[0][[0, 2]].any()  # the first field is the state itself, (places, B, N)
    found = []
    for _ in range(2):
        network.forward(ran.params, ran.state, ran.stream, MIDDLE, ran.trajectory, MIDDLE, count)
        found.append([ran.trajectory.states.copy(), ran.stream.losses.copy()])
        network.restore(kept, 1, ran.state)
    same = all(np.array_equal(x, y) for x, y in zip(*found))
    if others:
        return Measured("save writes to other places, too", False)
    return Measured("the same bits" if same else "other bits", same)


def _kept(make: Make) -> Measured:
    """Sweep the last rows, then move them to the front and sweep them there: 3 rows over 7."""
    case = make()
    network, ran, found = case.network, case.ran(), []
    first = STEPS - 7
    for row in (first, 0):
        found.append(_swept(network, ran, row, 7)[0])
        network.keep_history(ran.trajectory, first, 7)
    there, moved = found
    same = np.array_equal(moved, there)
    return Measured("the same bits" if same else f"{within(moved, there, 0).text} apart", same)


def _swept(network: Network, ran: Ran, first: int, count: int) -> tuple[Array, Array]:
    """The gradient of some rows by ``vjp`` and ``collect``, and the deltas."""
    batch = ran.trajectory.states.shape[1]
    delta = np.zeros((count, batch, 1, network.n_drive))
    after, before = np.zeros((2, batch, 1, network.n_state))
    for i in reversed(range(count)):
        network.vjp(ran.params, ran.trajectory, first + i, 0, batch, True, after, delta[i], before)
        after, before = before, after
    flat = np.zeros(network.n_params)
    network.collect(ran.params, ran.trajectory, first, delta, network.kernel_params(flat))
    return flat, delta


def _inputs(make: Make) -> Measured:
    case = make()
    network, ran, inputs = case.network, case.ran(), case.data["inputs"]
    batch = inputs.shape[1]
    _, delta = _swept(network, ran, 0, STEPS)
    out = np.zeros((STEPS, batch, max(network.columns)))
    network.collect_inputs(ran.params, ran.trajectory, 0, STEPS, delta, out)
    found = network.inputs_grad_like(inputs, out)
    rng, worst, scale = np.random.default_rng(4), 0.0, max(float(np.linalg.norm(found)), TINY)
    for _ in range(6):
        direction = rng.standard_normal(inputs.shape)
        direction /= np.linalg.norm(direction)
        along = slope(lambda u: case.changed(inputs=u).loss(), inputs, direction)
        worst = max(worst, abs(along - float((found * direction).sum())) / scale)
    return Measured(f"{worst:.2g}", worst <= DIFFERENCES)


def _compiled(make: Make, single: bool) -> Measured:
    case = make()
    asked = in_single(case) if single else case
    found = flattened(asked.gradient(Backwards(), compiled=True).grads)
    expected = case.flat_gradient(Backwards())
    return deviation(case.network, found, expected).within(SINGLE if single else EQUAL)
