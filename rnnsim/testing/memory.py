"""What a rule keeps and touches: its memory, its random numbers, rows to come, and other memory."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnsim.compiler import bind_arguments, frozen, is_uncompiled, uncompiled
from rnnsim.network import Stream
from rnnsim.testing.cases import STEPS, Case, flattened
from rnnsim.testing.gradients import piece_length, relative
from rnnsim.testing.guards import PATTERNS, Guards
from rnnsim.testing.measures import EQUAL, names_of
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import Subject
from rnnsim.training.gradients import gradient_function
from rnnsim.training.learner import Learner
from rnnsim.training.sequences import Pass, Shape, Work, generators_in, pass_kernel
from rnnsim.training.streams import begin, make_stream

WINDOW = 3  # steps
READ_ONLY = ("inputs", "targets", "mask", "resets")
RATE = 1e-3  # of a learner


def checks(subject: Subject) -> Iterator[Check]:
    """Those of compiled code, on the network that says most."""
    rule, name = subject.rule, subject.first
    yield Check(
        "arrays",
        "writes nothing outside its arrays, reads nothing there, and leaves what it is given",
        partial(_guarded, subject, name),
    )
    yield Check(
        "finite",
        "no gradient is nan or infinite",
        partial(_finite, subject, name),
    )
    yield Check(
        "seed",
        "the same seed gives the same bits" + (", another others" if draws(subject) else ""),
        partial(_seeded, subject, name),
    )
    if rule.online and not rule.settles:
        yield Check(
            "rows to come",
            "on-line: what follows a window changes no bit of its gradient",
            partial(_future, subject, name),
        )
        yield Check(
            "cuts",
            f"a learner learns the same however its rows are cut, within {EQUAL:g}",
            partial(_cuts, subject, name),
        )


def draws(subject: Subject) -> bool:
    """Whether the rule keeps a random generator."""
    network = subject.networks[subject.first]
    memory = subject.rule.memory(network, 1, WINDOW, np.random.default_rng(0))
    return bool(generators_in(memory))


# --- a pass whose arrays are at hand ------------------------------------------------------------------


class Prepared(NamedTuple):
    """The arrays of a pass over a case, ready to run, and its stream."""

    arrays: Pass
    stream: Stream
    kernel: Any


def prepared(subject: Subject, case: Case, window: int | None = None) -> Prepared:
    """Allocate what a pass over a case takes, and let it begin."""
    network, data = case.network, case.data
    given = (data["inputs"], data["targets"], data.get("mask"), data.get("resets"))
    stream = make_stream(network, *given, settles=case.steady)
    steps, batch = stream.mask.shape
    kernel = frozen(pass_kernel(network, subject.rule))
    shape = Shape(steps, batch, window or steps, 0)
    arrays = Pass(network, subject.rule, shape, subject.seed, kernel, False)
    arrays.work.flat_params[:] = case.flat
    states = (data.get("initial_state"), data.get("reset_state"))
    arrays.start(begin(network, batch, *states, case.steady), None)
    return Prepared(arrays, stream, kernel)


# --- what is measured --------------------------------------------------------------------------------


def _guarded(subject: Subject, name: str) -> Measured:
    """Run with two patterns around the arrays: what was read there would make a difference."""
    case, results = subject.case(name), []
    arrays, stream, kernel = prepared(subject, case, None if case.steady else WINDOW)
    steps = len(stream.mask)
    for pattern in PATTERNS:
        guards, work = Guards(pattern), deepcopy_generators(arrays.work)
        own = Work(*(guards.copy(part, field) for field, part in zip(Work._fields, work)))
        seen = Stream(*(guards.copy(part, f"stream.{field}")
                        for field, part in zip(Stream._fields, stream)))  # fmt: skip
        given = {field: getattr(seen, field) for field in READ_ONLY}
        given |= {f"params.{field}": x for field, x in zip(_fields(own.params), own.params)}
        before = {field: x.copy() for field, x in given.items() if isinstance(x, np.ndarray)}
        out = guards.copy(np.zeros_like(arrays.work.flat_grad), "the gradient")
        code = bind_arguments(kernel, own, owner=subject.rule.name)(seen, 0, steps, False, out)
        if code:
            raise subject.rule.explain(code, own.memory, 1)
        if damage := guards.damage():
            return Measured(f"writes outside {', '.join(damage)}", False)
        changed = [field for field, x in before.items() if not np.array_equal(x, given[field])]
        if changed:
            return Measured(f"changes {', '.join(changed)}", False)
        results.append(flattened([x for x in own.grad if isinstance(x, np.ndarray)]))
    if not np.array_equal(results[0], results[1]):
        return Measured("reads outside its arrays: what is there changes the gradient", False)
    how = "in plain Python, which checks indices" if is_uncompiled() else "compiled"
    return Measured(f"nothing outside, {how}")


def _fields(value: Any) -> Any:
    return getattr(value, "_fields", range(len(value)))


def deepcopy_generators(work: Work) -> Work:
    """The same arrays with random generators of their own."""
    return work._replace(memory=deepcopy(work.memory)) if generators_in(work.memory) else work


def _finite(subject: Subject, name: str) -> Measured:
    case = subject.case(name)
    arrays, stream, _ = prepared(subject, case)
    out = np.zeros_like(arrays.work.flat_grad)
    arrays.run(stream, 0, len(stream.mask), False, out)
    if bad := names_of(case.network, ~np.isfinite(out)):
        return Measured(f"not finite: {bad}", False)
    return Measured("finite")


def _seeded(subject: Subject, name: str) -> Measured:
    """Functions are made anew, so that none keeps what another has left in its memory."""
    case = subject.case(name)
    first, again, other = (
        flattened(
            gradient_function(case.network, subject.rule, seed=seed)(case.params, **case.data).grads
        )
        for seed in (1, 1, 2)
    )
    if not np.array_equal(first, again):
        return Measured(f"the same seed: {relative(again, first):.2g} apart", False)
    if draws(subject) and np.array_equal(first, other):
        return Measured("another seed: the same bits", False)
    if not draws(subject) and not np.array_equal(first, other):
        return Measured("it keeps no generator, and another seed gives other bits", False)
    return Measured("the same bits" + (", others with another seed" if draws(subject) else ""))


def _future(subject: Subject, name: str) -> Measured:
    """The gradient of the first window, with two different continuations."""
    case, rng, found = subject.case(name), np.random.default_rng(3), []
    for later in (case, _continued(case, rng)):
        arrays, stream, _ = prepared(subject, later, WINDOW)
        out = np.zeros_like(arrays.work.flat_grad)
        arrays.run(stream, 0, WINDOW, False, out)
        found.append(out)
    if np.array_equal(found[0], found[1]):
        return Measured("the same bits")
    return Measured(f"{relative(found[1], found[0]):.2g} apart", False)


def _continued(case: Case, rng: np.random.Generator) -> Case:
    """The same sequences with other rows after the first window."""
    data = {}
    for name in ("inputs", "targets", "mask"):
        data[name] = case.data[name].copy()
        data[name][WINDOW:] = rng.random(data[name][WINDOW:].shape)
    resets = case.data.get("resets", np.zeros(case.data["inputs"].shape[:2], np.bool_)).copy()
    resets[WINDOW:] ^= True
    return case.changed(**data, resets=resets)


def _cuts(subject: Subject, name: str) -> Measured:
    """Parameters after a few windows, whose rows come together and in parts."""
    window = piece_length(subject, subject.case(name))
    case = subject.case(name, max(STEPS, 2 * window + 1))
    found = []
    for length in (len(case.data["inputs"]), max(1, window - 1) if window > 1 else 2):
        with uncompiled():
            learner = Learner(
                case.network, subject.rule, params=case.params, seed=subject.seed, window=window,
                learning_rate=RATE, batch=case.data["inputs"].shape[1],
            )  # fmt: skip
            for first in range(0, len(case.data["inputs"]), length):
                part = case.rows(first, first + length).data
                rows = {key: value for key, value in part.items() if not key.endswith("state")}
                learner.learn(**rows)
            learner.flush()
            found.append(flattened(learner.params) - case.flat)
    error = relative(found[1], found[0])
    return Measured(f"{error:.2g}", error <= EQUAL)
