"""The fast-weight network of theory.md, section 2, again in plain NumPy: slow, literal, unit by unit.

Nothing here imports rnnsim: an error there cannot hide here. Equation numbers are those of theory.md.
Three roads lead to the gradient: the whole of p, carried forwards (``forwards``); the unfolding in time,
swept backwards (``backwards``); and differences of ``run(...).loss``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from naive import Array, Function, Gradient


class Layers(NamedTuple):
    """A feed-forward net. Its units are numbered through, inputs first; the bias unit comes last."""

    sizes: tuple[int, ...]  # (inputs, hidden..., outputs)
    activations: tuple[tuple[Function, Function], ...]  # (f, df) of each layer after the inputs
    bias: bool
    shortcuts: bool

    @property
    def n_units(self) -> int:
        """How many units there are, the bias unit not counted; it is also the bias unit's number."""
        return sum(self.sizes)

    def layer(self, number: int) -> range:
        """The units of a layer; layer 0 holds the inputs."""
        first = sum(self.sizes[:number])
        return range(first, first + self.sizes[number])

    def sources(self, number: int) -> list[int]:
        """The units that a layer reads, its bias unit excepted."""
        if self.shortcuts:
            return list(range(self.layer(number).start))
        return list(self.layer(number - 1))

    @property
    def outputs(self) -> range:
        return self.layer(len(self.sizes) - 1)


class FastWeights(NamedTuple):
    """The slow net, the fast net, and how the one writes the other."""

    architecture: int
    slow: Layers
    fast: Layers
    sigma: tuple[Function, Function, Function]  # s, ds/dw, ds/dBox of (w, Box w)
    g: tuple[Function, Function, Function]  # g, dg/da, dg/db of (s_a, s_b), from a to b
    initial: float | str  # a number, or "slow"
    loss: Function
    dloss: Function


class Data(NamedTuple):
    """Sequences, time-major; row 0 is step 1."""

    slow: Array  # (T, B, inputs of S)
    fast: Array  # (T, B, inputs of F)
    targets: Array  # (T, B, k)
    mask: Array  # (T, B)
    resets: Array  # (T, B)
    initial: Array | None  # (B, N) before the first step, or None where the caller gives none
    reset: Array | None  # the same after a reset


class Step(NamedTuple):
    """What one sequence did in one step."""

    starts: bool  # w was set anew, to its initial value, before the step
    entering: Array  # (N) w(t-1), which F uses
    slow: tuple[Array, Array]  # net inputs and activities of S
    fast: tuple[Array, Array]  # and of F
    box: Array  # (N) Box w(t)
    state: Array  # (N) w(t)
    y: Array  # (k)
    dy: Array  # (k) dE/dy
    loss: float


class Path(NamedTuple):
    """What the network did."""

    steps: list[list[Step]]  # [t][b]
    states: Array  # (T, B, N)
    outputs: Array  # (T, B, k)
    loss: float


SQUASH = "sum-and-squash"


def sigma_of(name: str, tau: float, decay: float) -> tuple[Function, Function, Function]:
    """The named ways of eq. (18), each with its two derivatives."""

    def squash(w: Any, box: Any) -> Any:
        return 1 / (1 + np.exp(-tau * (w + box - 0.5)))

    def slope(w: Any, box: Any) -> Any:
        return tau * squash(w, box) * (1 - squash(w, box))

    one = lambda w, box: np.ones_like(w)  # noqa: E731
    named: dict[str, tuple[Function, Function, Function]] = {
        SQUASH: (squash, slope, slope),
        "additive": (lambda w, box: w + box, one, one),
        "decay": (lambda w, box: decay * w + box, lambda w, box: decay * np.ones_like(w), one),
    }
    return named[name]


PRODUCT: tuple[Function, Function, Function] = (
    lambda a, b: a * b,
    lambda a, b: b,
    lambda a, b: a,
)


# --- the two nets --------------------------------------------------------------------------------------

Connections = list[tuple[int, int]]  # (from, to)


def fast_connections(fast: Layers) -> Connections:
    """F's weights in the order of the flat vector w: by layer, row by row (to), the bias last."""
    found = []
    for number in range(1, len(fast.sizes)):
        for to in fast.layer(number):
            found += [(source, to) for source in fast.sources(number)]
            found += [(fast.n_units, to)] * fast.bias
    return found


def slow_blocks(slow: Layers) -> dict[str, tuple[tuple[int, ...], Connections]]:
    """S's parameters by name: the shape of each, and its weights row by row."""
    blocks: dict[str, tuple[tuple[int, ...], Connections]] = {}
    for number in range(1, len(slow.sizes)):
        layer, sources = slow.layer(number), slow.sources(number)
        pairs = [(source, to) for to in layer for source in sources]
        blocks[f"W{number}"] = ((len(layer), len(sources)), pairs)
        if slow.bias:
            blocks[f"b{number}"] = ((len(layer),), [(slow.n_units, to) for to in layer])
    return blocks


def slow_connections(slow: Layers) -> Connections:
    """Every slow weight, in the order W1, b1, W2, b2, ..."""
    return [pair for _, pairs in slow_blocks(slow).values() for pair in pairs]


def flatten(slow: Layers, params: Gradient) -> Array:
    blocks = slow_blocks(slow)
    assert set(params) == set(blocks)
    for name, (shape, _) in blocks.items():
        assert params[name].shape == shape, name
    return np.concatenate([params[name].ravel() for name in blocks])


def unflatten(slow: Layers, flat: Array) -> Gradient:
    params, start = {}, 0
    for name, (shape, pairs) in slow_blocks(slow).items():
        params[name] = flat[start : start + len(pairs)].reshape(shape)
        start += len(pairs)
    return params


def matrix_of(net: Layers, connections: Connections, weights: Array) -> Array:
    """All weights of a net as one matrix [to, from]; 0 where there is no connection."""
    M = np.zeros((net.n_units, net.n_units + 1))
    for (source, to), weight in zip(connections, weights, strict=True):
        M[to, source] = weight
    return M


def propagate(net: Layers, M: Array, inputs: Array) -> tuple[Array, Array]:
    """The net inputs and the activities of every unit; the last activity is the bias unit's, 1."""
    a, o = np.zeros(net.n_units), np.zeros(net.n_units + 1)
    o[net.n_units] = 1
    o[: net.sizes[0]] = inputs
    for number in range(1, len(net.sizes)):
        f, _ = net.activations[number - 1]
        for unit in net.layer(number):
            a[unit] = M[unit] @ o
            o[unit] = f(a[unit])
    return a, o


def back_propagate(net: Layers, M: Array, a: Array, error: Array) -> Array:
    """delta of every unit, the deltas of eq. (21), from dE/do of the outputs; 0 at the inputs."""
    delta = np.zeros(net.n_units)
    for number in range(len(net.sizes) - 1, 0, -1):
        _, df = net.activations[number - 1]
        for unit in net.layer(number):
            later = M[unit + 1 :, unit] @ delta[unit + 1 :]  # 0 but from later layers
            own = error[unit - net.outputs.start] if unit in net.outputs else 0.0
            delta[unit] = df(a[unit]) * (own + later)
    return delta


def weight_gradient(connections: Connections, delta: Array, o: Array) -> Array:
    """delta_b o_a of every weight from a to b."""
    return np.array([delta[to] * o[source] for source, to in connections])


# --- forwards in time ----------------------------------------------------------------------------------


def from_and_to(net: FastWeights) -> list[tuple[int, int]]:
    """Architecture 2: which outputs of S, counted from 0, are s_a and s_b of each fast weight."""
    fast = net.fast
    leaving = [*range(fast.outputs.start), *[fast.n_units] * fast.bias]  # F's inputs, hidden units, bias
    entered = list(range(fast.sizes[0], fast.n_units))  # F's hidden units and outputs
    n_from = len(leaving)
    return [(leaving.index(a), n_from + entered.index(b)) for a, b in fast_connections(fast)]


def box_of(net: FastWeights, s: Array) -> Array:
    """Eqs. (19) and (20): Box w from S's outputs."""
    if net.architecture == 1:
        return s
    return np.array([net.g[0](s[a], s[b]) for a, b in from_and_to(net)])


def run(net: FastWeights, params: Gradient, data: Data) -> Path:
    """Eqs. (16)-(20), one sequence after the other."""
    T, B, _ = data.targets.shape
    S = matrix_of(net.slow, slow_connections(net.slow), flatten(net.slow, params))
    steps: list[list[Step]] = [[] for _ in range(T)]
    for b in range(B):
        w = None
        for t in range(T):
            steps[t].append(one_step(net, S, data, t, b, w))
            w = steps[t][b].state
    states = np.array([[step.state for step in row] for row in steps])
    outputs = np.array([[step.y for step in row] for row in steps])
    return Path(steps, states, outputs, sum(step.loss for row in steps for step in row))


def one_step(net: FastWeights, S: Array, data: Data, t: int, b: int, w: Array | None) -> Step:
    """One step of one sequence; ``w`` is None at the first."""
    slow = propagate(net.slow, S, data.slow[t, b])
    box = box_of(net, slow[1][net.slow.outputs])
    starts = bool(data.resets[t, b]) or (w is None and data.initial is None)
    if starts:
        w = initial_weights(net, data, b, box)
    elif w is None:
        assert data.initial is not None
        w = data.initial[b]
    F = matrix_of(net.fast, fast_connections(net.fast), w)
    fast = propagate(net.fast, F, data.fast[t, b])
    y = fast[1][net.fast.outputs]
    dy, loss = np.zeros_like(y), 0.0
    if data.mask[t, b] != 0:  # a masked target may be anything
        weight = data.mask[t, b] / data.mask.shape[1]
        dy = weight * net.dloss(y, data.targets[t, b])
        loss = float(weight * net.loss(y, data.targets[t, b]))
    return Step(starts, w, slow, fast, box, net.sigma[0](w, box), y, dy, loss)


def initial_weights(net: FastWeights, data: Data, b: int, box: Array) -> Array:
    """w before the first step and after a reset: S's own answer, what the caller gave, or the number."""
    if net.initial == "slow":
        return box
    if data.reset is not None:
        return data.reset[b]
    return np.full(len(box), float(net.initial))


def net_inputs(net: FastWeights, path: Path, activation: tuple[Function, Function]) -> Array:
    """Every net input of the layers of an activation, to see how far it is from a kink."""
    found = []
    for step in (step for row in path.steps for step in row):
        for layers, (a, _) in ((net.slow, step.slow), (net.fast, step.fast)):
            for number, own in enumerate(layers.activations, 1):
                if own is activation:
                    found.append(a[layers.layer(number)])
    return np.concatenate([np.zeros(0), *found])


# --- the gradient, forwards ----------------------------------------------------------------------------


def gamma_of(net: FastWeights, step: Step) -> Array:
    """Eq. (21): dE(t)/dw(t-1), by back-propagation in F."""
    connections = fast_connections(net.fast)
    F = matrix_of(net.fast, connections, step.entering)
    delta = back_propagate(net.fast, F, step.fast[0], step.dy)
    return weight_gradient(connections, delta, step.fast[1])


def output_gradients(net: FastWeights, S: Array, step: Step) -> Array:
    """ds_c/dw of each output c of S and every slow weight, by back-propagation from each output."""
    a, o = step.slow
    rows = []
    for row in np.eye(net.slow.sizes[-1]):
        delta = back_propagate(net.slow, S, a, row)
        rows.append(weight_gradient(slow_connections(net.slow), delta, o))
    return np.array(rows)


def box_gradients(net: FastWeights, S: Array, step: Step) -> Array:
    """Eqs. (24) and (25): dBox w/dw of each fast and every slow weight, (N, |W_S|)."""
    ds = output_gradients(net, S, step)
    if net.architecture == 1:
        return ds
    s = step.slow[1][net.slow.outputs]
    _, dg_da, dg_db = net.g
    return np.array([dg_da(s[a], s[b]) * ds[a] + dg_db(s[a], s[b]) * ds[b] for a, b in from_and_to(net)])


def forwards(net: FastWeights, params: Gradient, data: Data) -> Gradient:
    """The published algorithm with the whole of p, zeros and all: eqs. (22) and (23)."""
    path = run(net, params, data)
    S = matrix_of(net.slow, slow_connections(net.slow), flatten(net.slow, params))
    total = np.zeros(len(slow_connections(net.slow)))
    for b in range(data.targets.shape[1]):
        p = np.zeros((path.states.shape[2], len(total)))  # p[c, every slow weight]
        for row in path.steps:
            step = row[b]
            dbox = box_gradients(net, S, step)
            if step.starts:
                p = dbox if net.initial == "slow" else np.zeros_like(p)
            gamma = gamma_of(net, step)
            for c in range(len(p)):
                total += gamma[c] * p[c]
            _, ds_dw, ds_dbox = net.sigma
            old, new = ds_dw(step.entering, step.box), ds_dbox(step.entering, step.box)
            p = old[:, None] * p + new[:, None] * dbox
    return unflatten(net.slow, total)


# --- the gradient, backwards ---------------------------------------------------------------------------


def slow_delta(net: FastWeights, S: Array, step: Step, blame: Array) -> Array:
    """dE/dnet of every unit of S from ``blame`` = dE/dBox w, by one back-propagation in S."""
    s = step.slow[1][net.slow.outputs]
    error = np.zeros_like(s)
    if net.architecture == 1:
        error += blame
    else:
        for c, (a, b) in enumerate(from_and_to(net)):
            error[a] += blame[c] * net.g[1](s[a], s[b])
            error[b] += blame[c] * net.g[2](s[a], s[b])
    return back_propagate(net.slow, S, step.slow[0], error)


def blame_slow(net: FastWeights, S: Array, step: Step, blame: Array) -> Array:
    """The gradient of every slow weight from dE/dBox w."""
    delta = slow_delta(net, S, step, blame)
    return weight_gradient(slow_connections(net.slow), delta, step.slow[1])


def step_back(
    net: FastWeights, S: Array, step: Step, after: Array, own: Array
) -> tuple[Array, Array, bool]:
    """Take dE/dw(t) back to dE/dw(t-1), which ``own``, dE(t)/dw(t-1), joins.

    Gives that, the gradient of this step's slow weights, and whether credit goes on to step t-1.
    """
    before, blame, goes_on = blame_back(net, step, after, own)
    return before, blame_slow(net, S, step, blame), goes_on


def blame_back(net: FastWeights, step: Step, after: Array, own: Array) -> tuple[Array, Array, bool]:
    """The same with dE/dBox w(t) in place of the gradient of the slow weights."""
    _, ds_dw, ds_dbox = net.sigma
    blame = ds_dbox(step.entering, step.box) * after
    before = ds_dw(step.entering, step.box) * after + own
    if step.starts and net.initial == "slow":
        blame = blame + before
    return before, blame, not step.starts


def backwards(net: FastWeights, params: Gradient, data: Data, width: int | None = None) -> Gradient:
    """Unfolding in time; with ``width``, each window of so many steps by itself, w running on."""
    path = run(net, params, data)
    S = matrix_of(net.slow, slow_connections(net.slow), flatten(net.slow, params))
    total = np.zeros(len(slow_connections(net.slow)))
    T, B, _ = data.targets.shape
    for b in range(B):
        after = np.zeros(path.states.shape[2])
        for t in reversed(range(T)):
            step = path.steps[t][b]
            before, grad, goes_on = step_back(net, S, step, after, gamma_of(net, step))
            total += grad
            cut = width is not None and t % width == 0
            after = before if goes_on and not cut else np.zeros_like(before)
    return unflatten(net.slow, total)


def truncated(net: FastWeights, params: Gradient, data: Data, h: int, h_prime: int) -> Gradient:
    """BPTT(h, h') of 1.3, each error by itself.

    The error of step tau waits for the sweep at t, the next multiple of h' or the end, and passes back
    through the steps tau, tau-1, ... down to t-h+1. It is an error of w(tau-1): in step tau itself it
    meets no slow weight, unless S gave that w at a reset.
    """
    path = run(net, params, data)
    S = matrix_of(net.slow, slow_connections(net.slow), flatten(net.slow, params))
    total = np.zeros(len(slow_connections(net.slow)))
    T, B, _ = data.targets.shape
    for b in range(B):
        for tau in range(1, T + 1):
            t = next(s for s in range(tau, T + 1) if s % h_prime == 0 or s == T)
            after, own = np.zeros(path.states.shape[2]), gamma_of(net, path.steps[tau - 1][b])
            for number in range(tau, max(0, t - h), -1):
                after, grad, goes_on = step_back(net, S, path.steps[number - 1][b], after, own)
                total += grad
                own = np.zeros_like(own)
                if not goes_on:
                    break
    return unflatten(net.slow, total)
