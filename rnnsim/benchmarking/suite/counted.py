"""What is counted of a rule: the instructions of a step, and of a call of each public function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rnnsim

from . import callgrind
from .choices import random_data, rule_and_network, small_params, window_for

STEPS = {8: 100, 32: 10}  # by n, the number of steps that are counted, or more, to the end of a window
CALLED = 8  # n of the network whose calls are counted
SLOW = 1e-6  # a learning rate at which nothing diverges
STEP = "step"  # the name of the figures that are by n

Calls = dict[str, Callable[[], Any]]
Found = dict[str, dict[str, float]]  # by rule, then by what was counted: ``gradient``, ``step 8``
PROGRAM = "from suite import counted; counted.main(*sys.argv[1:2], sys.argv[2:])"


def steps(rule: str) -> Calls:
    """A sequence of one window and a longer one, for each n; names end with the number of steps."""
    calls: Calls = {}
    for n, least in STEPS.items():
        made, network = rule_and_network(rule, n)
        window = window_for(made, network)
        more = window * math.ceil(least / window)
        gradient = rnnsim.gradient_function(network, made, window=window)
        params, (inputs, targets) = small_params(network), random_data(network, window + more)
        for length in (window, window + more):
            given = params, inputs[:length], targets[:length]
            calls[f"{rule}/{STEP} {n}/{length}"] = partial(gradient, *given)
    return calls


def functions(rule: str) -> Calls:
    """The public functions, each on a sequence of a single step; a learner gets whole windows."""
    made, network = rule_and_network(rule, CALLED)
    window, steady = window_for(made, network), made.settles
    params, (inputs, targets) = small_params(network), random_data(network, window)
    u, d = inputs[:1], targets[:1]
    gradient = rnnsim.gradient_function(network, made)
    stepping, learning = (
        rnnsim.Learner(network, made, params=params, learning_rate=SLOW, window=window) for _ in range(2)
    )

    def step_and_correct() -> None:
        for i in range(window):
            stepping.step(inputs[i])
            stepping.correct(targets[i])

    calls: Calls = {
        "gradient/1": lambda: rnnsim.gradient(network, params, u, d, made),
        "gradient_function/1": lambda: gradient(params, u, d),
        "loss/1": lambda: rnnsim.loss(network, params, u, d, steady_state=steady),
        "simulate/1": lambda: rnnsim.simulate(network, params, u, steady_state=steady),
        f"learner_step/{window}": step_and_correct,
        "learn/1": lambda: learning.learn(inputs, targets),
    }
    return {f"{rule}/{name}": call for name, call in calls.items()}


PARTS = {"steps": steps, "functions": functions}  # each compiles kernels of its own


def main(parts: str, rules: Sequence[str]) -> None:
    """The program that :mod:`.callgrind` runs."""
    calls: Calls = {}
    for rule in rules:
        for part in parts.split("+"):
            calls |= PARTS[part](rule)
    callgrind.measure(calls)


def count(rules: Sequence[str], python: str | None = None, parts: Sequence[str] = tuple(PARTS)) -> Found:
    """Count the instructions of rules, in this environment or in that of another Python."""
    return figures(callgrind.run(PROGRAM, ["+".join(parts), *rules], python))


def figures(counts: dict[str, int]) -> Found:
    """Instructions for one step or call.

    Of a name with two numbers of steps it is the difference that counts, without the call itself.
    """
    by_name: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for label, count in counts.items():
        rule, what, times = label.split("/")
        by_name.setdefault((rule, what), []).append((int(times), count))
    found: Found = {}
    for (rule, what), pairs in by_name.items():
        (few, less), (many, more) = [(0, 0), *sorted(pairs)][-2:]
        found.setdefault(rule, {})[what] = (more - less) / (many - few)
    return found
