"""The primitives of a network: each is the derivative of a step, and they agree with one another.

All of them run uncompiled, at a row in the middle of sequences of which one has just been reset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

import numpy as np

from rnnsim.network import Network
from rnnsim.testing.cases import Ran, free_entries, make_case
from rnnsim.testing.measures import DIFFERENCES, EQUAL, TINY, slope
from rnnsim.testing.report import Check, Measured
from rnnsim.training.streams import make_stream
from rnnsim.typing import Array

STEPS, ROW, RESET = 4, 2, 1  # the row at which derivatives are taken, and the sequence that is reset
ROWS = 4  # adjoint rows and tangents
ROUNDED = 1e-10


class Step:
    """One step of a network, and every derivative that the network gives of it."""

    def __init__(self, network: Network, seed: int) -> None:
        case = make_case(network, seed, steps=STEPS)
        resets = np.zeros((STEPS, case.data["inputs"].shape[1]), np.bool_)
        resets[ROW, RESET] = True
        self.network, self.seed, self.case = network, seed, case.changed(resets=resets)
        self.n, self.batch = network.n_state, resets.shape[1]
        self.rng = np.random.default_rng([seed, 5])
        self.ran: Ran = self.case.ran()
        self.rows = self.rng.standard_normal((ROWS, self.batch, self.n))

    @cached_property
    def entering(self) -> Array:
        """The states before the step, as far as it reads them: not that of a sequence that is reset."""
        return np.array(self.ran.trajectory.entering[ROW])

    def state_after(self, flat: Array, entering: Array) -> Array:
        """The states after the step from other parameters or other states."""
        network, data = self.network, self.case.data
        arrays = (data[name][ROW : ROW + 1] for name in ("inputs", "targets", "mask", "resets"))
        stream = make_stream(network, *arrays)
        state = self.beginning(entering)
        trajectory = network.trajectory(1, self.batch)
        network.forward(network.kernel_params(flat), state, stream, 0, trajectory, 0, 1)
        return np.array(trajectory.states[0])

    def beginning(self, entering: Array) -> object:
        """A state at which sequences are that run on."""
        reset = self.case.data.get("reset_state")
        return self.network.state(self.batch, entering, reset)

    def by_state(self, row: Array) -> Array:
        """row . dstate(t)/dstate(t-1), by differences of each entry."""
        found = np.zeros((self.batch, self.n))
        for i in range(self.n):
            direction = np.zeros((self.batch, self.n))
            direction[:, i] = 1
            found[:, i] = self._each(lambda x: self.state_after(self.ran.flat, x), direction, row)
        return found

    def _each(self, after: Callable[[Array], Array], direction: Array, row: Array) -> Array:
        """Each sequence's own derivative: sequences do not see one another."""
        step = 1e-5
        ahead, back = (after(self.entering + sign * step * direction) for sign in (1, -1))
        return np.asarray((row * (ahead - back)).sum(axis=1) / (2 * step))

    def by_params(self, row: Array, direction: Array) -> float:
        """row . dstate(t)/dparams along a direction, by differences; state(t-1) stays."""
        return slope(
            lambda flat: float((row * self.state_after(flat, self.entering)).sum()),
            self.ran.flat,
            direction,
        )

    # --- the network's own ---

    def vjp(self, rows: Array, own_error: bool = False, row: int = ROW) -> tuple[Array, Array]:
        """delta and dE/dstate(t-1), rows first; the sequences are shared by two calls."""
        after = rows.swapaxes(0, 1).copy()
        delta = np.full((self.batch, len(rows), self.network.n_drive), np.nan)
        before = np.full_like(after, np.nan)
        for begin, end in ((0, 1), (1, self.batch)):
            self.network.vjp(self.ran.params, self.ran.trajectory, row, begin, end, own_error, after,
                             delta, before)  # fmt: skip
        return delta.swapaxes(0, 1), before.swapaxes(0, 1)

    def flat_of(self, add: Callable[..., None], *arguments: object) -> Array:
        """What a kernel adds to a gradient."""
        flat = np.zeros(self.network.n_params)
        add(*arguments, self.network.kernel_params(flat))
        return flat

    def immediate(self, row: Array, begin: int = 0, end: int | None = None) -> Array:
        """row . dstate(t)/dparams of some sequences."""
        last = self.batch if end is None else end
        return self.flat_of(
            self.network.immediate, self.ran.params, self.ran.trajectory, ROW, begin, last, row.copy()
        )

    def collected(self, row: Array) -> Array:
        """The same from ``vjp`` and ``collect``."""
        delta, _ = self.vjp(row[None])
        by_sequence = delta[None].swapaxes(1, 2).copy()  # (1, B, 1, K)
        return self.flat_of(self.network.collect, self.ran.params, self.ran.trajectory, ROW, by_sequence)

    def jacobian(self, b: int) -> Array:
        """dstate(t)/dstate(t-1) of a sequence."""
        J = np.full((self.n, self.n), np.nan)
        self.network.jacobian(self.ran.params, self.ran.trajectory, ROW, b, J)
        return J


def checks(network: Network, seed: int) -> Iterator[Check]:
    """A check for each primitive that the network has."""
    close, equal = f"within {DIFFERENCES:g} of finite differences", f"within {ROUNDED:g}"
    table: dict[str, tuple[tuple[str, ...], str, Callable[[Step], Measured]]] = {
        "vjp": (("vjp",), f"dE/dstate(t-1), {close}; 0 across a reset", _vjp),
        "vjp with the own error": (("vjp",), f"error is added to each row, {equal}", _own_error),
        "jvp": (("jvp", "vjp"), f"the transpose of vjp, {equal}", _jvp),
        "jacobian": (("jacobian", "vjp"), f"the entries of what vjp multiplies by, {equal}", _jacobian),
        "jacobian_pattern": (("jacobian", "jacobian_pattern"), "no entry outside it", _pattern),
        "collect": (("vjp", "collect"), f"delta . d(drive)/dparams, {close}", _collect),
        "immediate": (("immediate",), f"row . dstate(t)/dparams, {close}", _immediate),
        "immediate, some sequences": (("immediate",), f"adds up over them, {equal}", _sequences),
        "immediate_entries": (
            ("owner", "immediate_entries", "immediate"), f"those of immediate, {equal}", _entries,
        ),
        "immediate_factors": (
            ("owner", "column", "immediate_factors", "immediate_entries"),
            f"their product is immediate_entries, {equal}", _factors,
        ),
        "collect_rows": (
            ("vjp", "collect", "collect_rows", "contract"), f"as collect, row by row, {equal}", _rows,
        ),
        "propagate": (
            ("propagate", "immediate"), f"from p = 0, its error times dstate/dparams, {equal}",
            _propagate,
        ),
    }  # fmt: skip
    for name, (needs, claimed, measure) in table.items():
        if all(getattr(network, part, None) is not None for part in needs):
            yield Check(name, claimed, partial(_at_a_step, network, seed, measure))


def _at_a_step(network: Network, seed: int, measure: Callable[[Step], Measured]) -> Measured:
    return measure(Step(network, seed))


def within(found: Array, expected: Array, tolerance: float, what: str = "") -> Measured:
    """Compare arrays, relative to the largest entry."""
    scale = max(float(np.abs(expected).max(initial=0)), TINY)
    error = float(np.abs(np.asarray(found) - expected).max(initial=0)) / scale
    return Measured(f"{error:.2g}{what}", bool(error <= tolerance))


# --- what is measured --------------------------------------------------------------------------------


def _vjp(step: Step) -> Measured:
    _, before = step.vjp(step.rows)
    expected = np.stack([step.by_state(row) for row in step.rows])
    expected[:, RESET] = 0
    if before[:, RESET].any():
        return Measured("credit crosses a reset", False)
    return within(before, expected, DIFFERENCES)


def _own_error(step: Step) -> Measured:
    step.ran.trajectory.error[ROW] = step.rng.standard_normal((step.batch, step.n))
    found = step.vjp(step.rows, own_error=True)
    error = step.ran.trajectory.error[ROW]
    if step.network.reads == "leaving":
        expected, running = step.vjp(step.rows + error), np.arange(step.batch)
    else:  # the state that enters the step is read: the error joins behind it, unless a reset sets it
        delta, before = step.vjp(step.rows)
        expected, running = (delta, before + error), np.delete(np.arange(step.batch), RESET)
    one, other = (np.concatenate([x[:, running].ravel() for x in pair]) for pair in (found, expected))
    return within(one, other, ROUNDED)


def _jvp(step: Step) -> Measured:
    tangents, out = step.rng.standard_normal(step.rows.shape), np.full_like(step.rows, np.nan)
    step.network.jvp(step.ran.params, step.ran.trajectory, ROW, tangents.copy(), out)
    _, before = step.vjp(step.rows)
    found = np.einsum("rbi,sbi->rsb", step.rows, out)
    return within(found, np.einsum("rbi,sbi->rsb", before, tangents), ROUNDED)


def _jacobian(step: Step) -> Measured:
    _, before = step.vjp(step.rows)
    found = np.stack([step.rows[:, b] @ step.jacobian(b) for b in range(step.batch)], axis=1)
    return within(found, before, ROUNDED)


def _pattern(step: Step) -> Measured:
    outside = ~np.asarray(step.network.jacobian_pattern)
    largest = max(float(np.abs(step.jacobian(b)[outside]).max(initial=0)) for b in range(step.batch))
    return Measured(f"{largest:.2g} at most outside", largest == 0)


def _along(step: Step, found: Array) -> Measured:
    """Compare ``rows[0] . dstate(t)/dparams`` with differences, along random directions."""
    free, worst = free_entries(step.network), 0.0
    scale = max(float(np.linalg.norm(found)), TINY)
    for _ in range(3 * ROWS):
        direction = step.rng.standard_normal(found.size) * free
        direction /= np.linalg.norm(direction)
        error = abs(step.by_params(step.rows[0], direction) - found @ direction)
        worst = max(worst, float(error / scale))
    return Measured(f"{worst:.2g}", bool(np.isfinite(found).all() and worst <= DIFFERENCES))


def _collect(step: Step) -> Measured:
    return _along(step, step.collected(step.rows[0]) * free_entries(step.network))


def _immediate(step: Step) -> Measured:
    return _along(step, step.immediate(step.rows[0]) * free_entries(step.network))


def _sequences(step: Step) -> Measured:
    some = step.immediate(step.rows[0], 0, 1) + step.immediate(step.rows[0], 1)
    return within(some, step.immediate(step.rows[0]), ROUNDED)


def _entries(step: Step) -> Measured:
    """``immediate`` of the row that is 1 at a unit has that unit's entries, and no others."""
    network, worst = step.network, Measured("0")
    owner, free = np.asarray(network.owner), free_entries(network)
    for b in range(step.batch):
        out, expected = np.full(network.n_params, np.nan), np.zeros(network.n_params)
        network.immediate_entries(step.ran.params, step.ran.trajectory, ROW, b, out)
        for unit in range(step.n):
            row = np.zeros((step.batch, step.n))
            row[b, unit] = 1
            of_unit = step.immediate(row) * free
            if (of_unit[owner != unit] != 0).any():
                return Measured(f"unit {unit} depends on parameters that it does not own", False)
            expected += of_unit
        found = within(out * (owner >= 0), expected, ROUNDED)
        worst = found if not found.passed else worst
    return worst if not worst.passed else found


def _factors(step: Step) -> Measured:
    network = step.network
    owner, column = np.asarray(network.owner), np.asarray(network.column)
    z, D = np.full(network.n_factor, np.nan), np.full(step.n, np.nan)
    entries = np.full(network.n_params, np.nan)
    network.immediate_factors(step.ran.params, step.ran.trajectory, ROW, 0, z, D)
    network.immediate_entries(step.ran.params, step.ran.trajectory, ROW, 0, entries)
    product = np.where(owner >= 0, D[owner] * z[column], 0.0)
    return within(product, np.where(owner >= 0, entries, 0.0), ROUNDED)


def _rows(step: Step) -> Measured:
    """The sensitivities of each row and sequence, of which ``contract`` gives the sum."""
    delta, _ = step.vjp(np.stack([step.rng.standard_normal((step.batch, step.n))] * step.n))
    p = np.zeros((step.batch, step.n, step.network.n_columns))
    by_sequence = delta[None].swapaxes(1, 2).copy()  # (1, B, R, K)
    step.network.collect_rows(step.ran.params, step.ran.trajectory, ROW, by_sequence, p)
    row = np.zeros((step.batch, step.n))
    row[:, -1] = 1
    found = step.flat_of(step.network.contract, step.ran.trajectory, row, p)
    one = by_sequence[:, :, -1:].copy()
    expected = step.flat_of(step.network.collect, step.ran.params, step.ran.trajectory, ROW, one)
    return within(found, expected, EQUAL)


def _propagate(step: Step) -> Measured:
    """The gradient of this step's error, or where the state that enters is read, of the next one's."""
    network, trajectory = step.network, step.ran.trajectory
    flat, count = np.zeros(network.n_params), 1 if network.reads == "leaving" else 2
    trajectory.error[ROW : ROW + 2] = 0
    trajectory.error[ROW + count - 1] = step.rows[0]
    network.propagate(step.ran.params, trajectory, ROW, count, network.sensitivities(step.batch, count),
                      network.kernel_params(flat))  # fmt: skip
    return within(flat, step.immediate(step.rows[0]), EQUAL)
