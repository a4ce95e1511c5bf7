"""asv's benchmarks, parametrised from the registry: a new rule or task is measured without a line here.

Everything is compiled in ``setup``; each timed call is thousands of steps, well over a millisecond.
Beside those, the exact rules for fast weights are measured at several sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.alone import sequence_kernel
from rnnsim import registry
from rnnsim.errors import RnnsimError
from rnnsim.experiment import configure
from rnnsim.fast_weight import FastWeightNetwork
from rnnsim.gradient import make_stream
from rnnsim.kernels import compiled
from rnnsim.network import Stream
from rnnsim.rule import Rule
from rnnsim.run import Trainer
from rnnsim.task import Task
from rnnsim.threads import shared_work

STEPS = 2_000


def stands_alone(task: type[Task]) -> bool:
    """Whether a task needs no file of the user's and no package that is absent."""
    try:
        return task().n_in > 0
    except RnnsimError:
        return False


RULES = sorted(registry.installed().rules)
TASKS = sorted(name for name, entry in registry.installed().tasks.items() if stands_alone(entry.thing))


def task_for(rule: str) -> str:
    """A small task that the rule can train."""
    found = registry.lookup("rule", rule)
    if found.settles:
        return "steady-state-xor"
    return "flip-flop" if found.kind == "fast-weight" else "delayed-xor"


def settings_for(rule: str) -> str | None:
    """Those of the task's settings in which all seeds solve it."""
    return "tuned" if registry.lookup("rule", rule).kind == "fast-weight" else None


def trainer(rule: str, task: str, steps: int = 10**9, **choices: Any) -> Trainer:
    """A run that never stops by itself, compiled."""
    return Trainer(configure(rule, task, steps=steps, stop=False, learning_rate=1e-4, **choices))


class Loop:
    """Time of the whole loop, task generation and updates included, by rule and n."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")

    def setup(self, rule: str, n: int) -> None:
        self.trainer = trainer(rule, task_for(rule), hidden=n)
        self.chunks = self.trainer.chunks()

    def time_loop(self, rule: str, n: int) -> None:
        until = self.trainer.step + STEPS
        while self.trainer.step < until:
            next(self.chunks)


class Generation:
    """Time of a task's generator alone."""

    params = TASKS
    param_names = ("task",)

    def setup(self, task: str) -> None:
        made = registry.make_task(task, {})
        rule = "recurrent-backprop" if made.steady else "bptt"
        self.trainer = trainer(rule, task)

    def time_fill(self, task: str) -> None:
        for _ in range(20):
            self.trainer._refill()


class Memory:
    """Bytes that a rule holds: free of noise."""

    params = (RULES, [8, 32])
    param_names = ("rule", "n")
    unit = "bytes"

    def track_bytes(self, rule: str, n: int) -> int:
        experiment = configure(rule, task_for(rule), hidden=n)
        return experiment.rule.memory_bytes(experiment.network, experiment.batch, experiment.window)


class Learning:
    """Steps to the solution, over fixed seeds: free of noise."""

    params = RULES
    param_names = ("rule",)
    unit = "steps"
    timeout = 300

    def track_steps_to_solve(self, rule: str) -> float:
        solved = []
        for seed in range(5):
            run = Trainer(
                configure(rule, task_for(rule), settings=settings_for(rule), seed=seed, steps=20_000)
            )
            for _ in run.chunks():
                pass
            solved.append(run.solved_at or 20_000)
        return float(np.median(solved))


# --- fast weights: the cost of the exact rules against |W_F| = n^2 and |W_S| ---

SIZES = ([1, 2], [4, 16, 32], [0, 32])
SIZE_NAMES = ("architecture", "n", "hidden")


def fast_weights(architecture: int, n: int, hidden: int) -> tuple[FastWeightNetwork, Rule]:
    """F of n inputs and n outputs, S of n inputs and some hidden units or none; and the rule."""
    network = FastWeightNetwork(
        architecture=architecture, n_slow_in=n, n_in=n, n_out=n, slow_hidden=(hidden,) if hidden else ()
    )
    return network, registry.make_rule(f"fast-weights-{architecture}", {})


def learning_alone(network: FastWeightNetwork, rule: Rule, window: int) -> Callable[[Stream], None]:
    """A rule's ``learn`` over a sequence, window by window, the slow weights standing still."""
    flat = network.pack(network.init())
    operands, slope = network.operands(flat), network.operands(np.zeros_like(flat))
    state, trajectory = network.state(1), network.trajectory(rule.rows(window), 1)
    memory = rule.memory(network, 1, window, np.random.default_rng(0))
    run = compiled(sequence_kernel(rule.learn(network), network.keep))

    def learn(stream: Stream) -> None:
        with shared_work():
            run(operands, state, stream, trajectory, memory, slope, window, 0)

    return learn


class FastWeights:
    """Time of as many steps at all sizes, so that times compare as times per step do."""

    params = SIZES
    param_names = SIZE_NAMES
    timeout = 600
    steps = 6_000  # some milliseconds for the least network, some seconds for the largest

    def setup(self, architecture: int, n: int, hidden: int) -> None:
        network, rule = fast_weights(architecture, n, hidden)
        values = np.random.default_rng(0).standard_normal((self.steps, n))
        begins = np.arange(self.steps) == 0  # each call does the same
        self.stream = make_stream(network, (values, values), values, None, begins)
        self.by_step, self.by_window = (learning_alone(network, rule, window) for window in (1, 50))
        few = Stream(*(part[:50] for part in self.stream))
        self.by_step(few)
        self.by_window(few)

    def time_window_1(self, architecture: int, n: int, hidden: int) -> None:
        self.by_step(self.stream)

    def time_window_50(self, architecture: int, n: int, hidden: int) -> None:
        self.by_window(self.stream)


class FastWeightTraces:
    """Traces of a sequence: free of noise."""

    params = SIZES
    param_names = SIZE_NAMES
    unit = "traces"

    def track_traces(self, architecture: int, n: int, hidden: int) -> int:
        return fast_weights(architecture, n, hidden)[0].n_traces


class FastWeightMemory:
    """Bytes that a rule holds on-line: free of noise."""

    params = SIZES
    param_names = SIZE_NAMES
    unit = "bytes"

    def track_bytes(self, architecture: int, n: int, hidden: int) -> int:
        network, rule = fast_weights(architecture, n, hidden)
        return rule.memory_bytes(network, 1, 1)
