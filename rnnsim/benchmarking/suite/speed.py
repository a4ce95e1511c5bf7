"""Times per step of a rule, of the whole training loop, and of the loop's other parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import numba  # noqa: F401 (asv imports the suite once and forks, so this is loaded once)
import numpy as np

import rnnsim
from rnnsim import registry
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.training.experiment import configure
from rnnsim.training.optimizers import OPTIMIZERS, make_optimizer
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array, Kernel, Memory

from .choices import (
    RULES,
    SIZES,
    TASKS,
    pairs,
    random_data,
    rule_and_network,
    skip_unless_complete,
    small_params,
    suits,
    task_for,
    window_for,
)
from .timing import LENGTHS, PerStep, Timed, scatter, timed

# What a setup makes is cached, since asv calls it again before each sample.

FOREVER = 10**9
SLOW = 1e-4  # a learning rate at which nothing diverges


class Step(PerStep):
    """One step of a rule without the training loop, on a random sequence with fixed weights."""

    params = (RULES, list(SIZES))
    param_names = ("rule", "n")

    def setup(self, rule: str, n: int) -> None:
        self.work, self.steps = learning(rule, n)

    def time_step(self, rule: str, n: int) -> None:
        self.work()


@cache
def learning(rule: str, n: int) -> Timed:
    scatter()
    made, network = rule_and_network(rule, n)
    gradient = rnnsim.gradient_function(network, made, window=window_for(made, network))
    params, (inputs, targets) = small_params(network), random_data(network, LENGTHS[-1])
    return timed(lambda steps: gradient(params, inputs[:steps], targets[:steps]))


class Forward(PerStep):
    """One step of ``simulate``, for each kind of network that some rule trains."""

    kinds = sorted({registry.lookup("rule", rule).kind for rule in RULES})
    params = (kinds, list(SIZES))
    param_names = ("network", "n")

    def setup(self, kind: str, n: int) -> None:
        self.work, self.steps = passing(kind, n)

    def time_forward(self, kind: str, n: int) -> None:
        self.work()


@cache
def passing(kind: str, n: int) -> Timed:
    scatter()
    rule = next(rule for rule in RULES if registry.lookup("rule", rule).kind == kind)
    _, network = rule_and_network(rule, n)
    params, (inputs, _) = small_params(network), random_data(network, LENGTHS[-1])
    return timed(lambda steps: rnnsim.simulate(network, params, inputs[:steps]))


class Call:
    """A call from Python with a single step: what it costs that is not the rule's."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")
    warmup_time = 0.0
    number = 100
    repeat = (3, 20, 0.3)
    rounds = 2
    timeout = 600

    def setup(self, rule: str, n: int) -> None:
        self.calls = calling(rule, n)

    def time_gradient(self, rule: str, n: int) -> None:
        self.calls["gradient"]()

    def time_gradient_function(self, rule: str, n: int) -> None:
        self.calls["gradient_function"]()

    def time_learner_step(self, rule: str, n: int) -> None:
        """With its correction."""
        self.calls["step"]()


@cache
def calling(rule: str, n: int) -> dict[str, Callable[[], Any]]:
    scatter()
    made, network = rule_and_network(rule, n)
    params, (inputs, targets) = small_params(network), random_data(network, 1)
    function = rnnsim.gradient_function(network, made)
    learner = learner_of(rule, n)
    u, d = inputs[0], targets[0]

    def step() -> None:
        learner.step(u)
        learner.correct(d)

    calls: dict[str, Callable[[], Any]] = {
        "gradient": lambda: rnnsim.gradient(network, params, inputs, targets, made),
        "gradient_function": lambda: function(params, inputs, targets),
        "step": step,
    }
    for call in calls.values():
        call()
    return calls


def learner_of(rule: str, n: int) -> rnnsim.Learner:
    """A learner that learns slowly, so that nothing diverges."""
    made, network = rule_and_network(rule, n)
    return rnnsim.Learner(
        network, made, params=small_params(network), learning_rate=SLOW / 100,
        window=window_for(made, network),
    )  # fmt: skip


class Learn(PerStep):
    """One step of ``Learner.learn``, on a random sequence."""

    params = (RULES, list(SIZES))
    param_names = ("rule", "n")

    def setup(self, rule: str, n: int) -> None:
        self.work, self.steps = on_line(rule, n)

    def time_learn(self, rule: str, n: int) -> None:
        self.work()


@cache
def on_line(rule: str, n: int) -> Timed:
    scatter()
    learner = learner_of(rule, n)
    inputs, targets = random_data(learner.network, LENGTHS[-1])
    return timed(lambda steps: learner.learn(inputs[:steps], targets[:steps]))


class Loop(PerStep):
    """One step of the whole loop, n hidden units: data generation, learning, updates, criterion."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")
    steps = 4_000

    def setup(self, rule: str, n: int) -> None:
        self.trainer = looping(rule, n)

    def time_loop(self, rule: str, n: int) -> None:
        until = self.trainer.step + self.steps
        while self.trainer.step < until:  # the stream may have to be refilled
            next(self.trainer.chunks(until - self.trainer.step))


@cache
def looping(rule: str, n: int) -> TaskTraining:
    scatter()
    return endless(rule, task_for(rule), hidden=n)


def endless(rule: str, task: str, **choices: Any) -> TaskTraining:
    """A compiled run without an end."""
    return TaskTraining(configure(rule, task, steps=FOREVER, stop=False, learning_rate=SLOW, **choices))


class WholeRun:
    """A run from its arguments to its result, for each rule on its task and each task by its rule."""

    params = pairs()
    param_names = ("run",)
    warmup_time = 0.0
    repeat = (2, 5, 2.0)
    rounds = 2
    timeout = 600

    def setup(self, pair: str) -> None:
        skip_unless_complete(pair.partition(" on ")[2])
        warm(pair)

    def time_run(self, pair: str) -> None:
        whole_run(pair, 2_000)


@cache
def warm(pair: str) -> None:
    whole_run(pair, 100)


def whole_run(pair: str, steps: int) -> rnnsim.Run:
    rule, _, task = pair.partition(" on ")
    return rnnsim.run(rule, task, steps=steps, stop=False, learning_rate=SLOW)


class Checkpoint:
    """A checkpoint of a run on disk: all that it needs to go on, in place of the one before."""

    params = (RULES, list(SIZES))
    param_names = ("rule", "n")

    def setup(self, rule: str, n: int) -> None:
        self.folder = TemporaryDirectory()
        self.run = in_the_middle(rule, n)
        self.run.save(self.folder.name)

    def teardown(self, rule: str, n: int) -> None:
        self.folder.cleanup()

    def time_checkpoint(self, rule: str, n: int) -> None:
        self.run.save(self.folder.name)


@cache
def in_the_middle(rule: str, n: int) -> rnnsim.Run:
    """A run that can go on."""
    task = task_for(rule)
    return rnnsim.run(
        rule, task, hidden=n, stop=False, learning_rate=SLOW, callback=lambda seen: seen.step > 0
    )


class Generation(PerStep):
    """One step of a task's generator."""

    params = TASKS
    param_names = ("task",)
    refills = 20

    def setup(self, task: str) -> None:
        skip_unless_complete(task)
        self.trainer = generating(task)
        self.steps = self.refills * int(self.trainer.training.clock.filled[0])

    def time_generation(self, task: str) -> None:
        for _ in range(self.refills):
            self.trainer._refill()


@cache
def generating(task: str) -> TaskTraining:
    return endless(next(rule for rule in RULES if suits(task, rule)), task)


class Update(PerStep):
    """One update by an optimizer."""

    params = (sorted(OPTIMIZERS), [100, 10_000])
    param_names = ("optimizer", "parameters")

    def setup(self, optimizer: str, size: int) -> None:
        self.work, self.steps = updating(optimizer, size)

    def time_update(self, optimizer: str, size: int) -> None:
        self.work()


@cache
def updating(optimizer: str, size: int) -> Timed:
    scatter()
    made, times = make_optimizer(optimizer, {}), 5_000_000 // size
    memory = made.memory(size, np.float64)
    theta, grad = np.zeros(size), np.random.default_rng(0).standard_normal(size)
    run = compiled(many_updates(made.update()))
    run(theta, grad, memory, 1)
    return Timed(lambda: run(theta, grad, memory, times), times)


@cache
def many_updates(update: Kernel) -> Kernel:
    @kernel
    def many_updates(theta: Array, grad: Array, memory: Memory, times: int) -> None:
        for _ in range(times):
            update(theta, grad, memory, 1e-6)

    return many_updates
