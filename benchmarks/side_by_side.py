"""Side by side: the same work in rnnsim and in other libraries, at the same time, on the same machine.

    python -m benchmarks.side_by_side [--case SUBSTRING ...] [--rounds 9] [--json side_by_side.json]

Each library lives in a process of its own, free to use all cores and the machine's whole instruction
set. For each case, all of them first show that they compute the same (to 1e-10, relative); then they
take turns, A B A B, each for a fraction of a second. A group of entries such as "JAX structured" may
hold several ways to write the same thing: a trial picks the fastest, which alone takes part. A ratio is
their time over rnnsim's in the same round: the median of the rounds, and in brackets the quartiles.

In the fast-weight cases "dense" carries all traces, the structured zeros too; "structured" leaves the
zeros out; "unfolded" and "rnnsim bptt" carry none: they sweep back over stored activations, and are
there for comparison.

A case is a class with a method for each library that gives its entries, and a line in ``CASES``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks import peers_jax
from benchmarks.peers_jax import Entry

TOLERANCE = 1e-10  # of the answers, relative to the largest number of each array
HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # these would keep BLAS from the machine's best
OURS = "rnnsim"
LIBRARIES = ("rnnsim", "jax")  # names of the cases' methods

Entries = dict[str, list[Entry]]  # by group; the fastest of a group counts


# --- the cases ---


class Case(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def bars(self) -> Mapping[str, float]:
        """By group: the ratio that is wanted at least."""
        ...

    def rnnsim(self) -> Entries: ...

    def jax(self) -> Entries: ...


@dataclass(frozen=True)
class FastWeightGradient:
    """The gradient of a whole sequence by forward traces, the weights standing still (theory.md 2)."""

    architecture: int
    m: int  # inputs of S
    hidden: int
    m_fast: int
    k: int  # outputs of F
    steps: int
    dense_bar: float | None = None
    structured_bar: float | None = None
    tau: float = 10.0

    @property
    def slow_outputs(self) -> int:
        return self.m_fast * self.k if self.architecture == 1 else self.m_fast + self.k

    @property
    def name(self) -> str:
        return (f"fast-weights-{self.architecture} gradient, S {self.m}-{self.hidden}-"
                f"{self.slow_outputs}, F {self.m_fast}-{self.k}")  # fmt: skip

    @property
    def bars(self) -> Mapping[str, float]:
        bars = {"JAX dense": self.dense_bar, "JAX structured": self.structured_bar}
        return {group: bar for group, bar in bars.items() if bar is not None}

    def network(self) -> Any:
        from rnnsim import FastWeightNetwork

        return FastWeightNetwork(
            architecture=self.architecture, n_slow_in=self.m, n_in=self.m_fast, n_out=self.k,
            slow_hidden=(self.hidden,), tau=self.tau,
        )  # fmt: skip

    def problem(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights (W1, b1, W2, b2) and data (slow inputs, fast inputs, targets)."""
        rng = np.random.default_rng(0)
        shapes = (
            (self.hidden, self.m),
            (self.hidden,),
            (self.slow_outputs, self.hidden),
            (self.slow_outputs,),
        )
        params = [rng.standard_normal(shape) / np.sqrt(shape[-1]) for shape in shapes]
        return params, [rng.standard_normal((self.steps, n)) for n in (self.m, self.m_fast, self.k)]

    def rnnsim(self) -> Entries:
        rule = f"fast-weights-{self.architecture}"
        return {
            OURS: [self.entry(rule, self.steps)],
            "rnnsim, window 1": [self.entry(rule, 1)],
            "rnnsim bptt": [self.entry("bptt", self.steps)],
        }

    def entry(self, rule_name: str, window: int) -> Entry:
        """What ``rnnsim.gradient`` does, without its checks and allocations."""
        from rnnsim import registry
        from rnnsim.blas import single_threaded
        from rnnsim.gradient import make_stream
        from rnnsim.kernels import compiled

        network = self.network()
        rule = registry.make_rule(rule_name, {})
        params, (slow, fast, targets) = self.problem()
        resets = np.arange(self.steps) == 0  # each call begins anew: fast weights, and traces
        stream = make_stream(network, (slow, fast), targets, None, resets)
        flat = network.pack(network.params_type(*params))
        grad = np.zeros_like(flat)
        operands, slope = network.operands(flat), network.operands(grad)
        state, trajectory = network.state(1), network.trajectory(rule.rows(window), 1)
        memory = rule.memory(network, 1, window, np.random.default_rng(0))
        run = compiled(whole_sequence(rule.learn(network)))

        def work() -> int:
            grad[:] = 0
            with single_threaded():
                run(operands, state, stream, trajectory, memory, slope, window)
            return self.steps

        def answer() -> Mapping[str, np.ndarray]:
            work()
            return {"loss": stream.losses.sum(), **network.views(grad.copy())._asdict()}

        return Entry(rule_name, answer, work)

    def jax(self) -> Entries:
        return peers_jax.fast_weights(self.architecture, self.tau, *self.problem())


def whole_sequence(learn: Any) -> Any:
    """Make the kernel that gives a sequence to a rule, window by window."""
    from rnnsim.kernels import kernel
    from rnnsim.rule import Window

    @kernel
    def whole_sequence(
        params: Any, state: Any, stream: Any, trajectory: Any, memory: Any, grad: Any, window: int
    ) -> None:
        steps = stream.losses.size
        for row in range(0, steps, window):
            count = min(window, steps - row)
            now = Window(0, count, row, row + count == steps)
            learn(params, state, stream, row, trajectory, now, memory, grad)

    return whole_sequence


@dataclass(frozen=True)
class FlipFlopOnLine:
    """The flip-flop end to end, with the published settings: the weights move at each step.

    rnnsim draws its events, judges its answers and keeps a learning curve meanwhile; JAX scans over
    events that were drawn before.
    """

    architecture: int
    bar: float | None = None
    steps: int = 20 * 1024  # of a call
    check: int = 500  # steps after which the weights must be the same

    @property
    def name(self) -> str:
        return f"fast-weights-{self.architecture} on flip-flop, on-line"

    @property
    def bars(self) -> Mapping[str, float]:
        return {} if self.bar is None else {"JAX structured": self.bar}

    def trainer(self) -> Any:
        from rnnsim.experiment import configure
        from rnnsim.run import Trainer

        rule = f"fast-weights-{self.architecture}"
        return Trainer(configure(rule, "flip-flop", settings="published", steps=10**12, stop=False))

    def rnnsim(self) -> Entries:
        trainer = self.trainer()
        chunks = trainer.chunks()

        def answer() -> Mapping[str, np.ndarray]:
            fresh = self.trainer()
            next(fresh.chunks(self.check))
            assert fresh.step == self.check
            losses = fresh.training.stream.losses[: self.check]
            return {"W": fresh.params.W1, "loss": losses.sum()}

        def work() -> int:
            start = trainer.step
            while trainer.step < start + self.steps:
                next(chunks)
            return int(trainer.step - start)

        return {OURS: [Entry("Trainer", answer, work)]}

    def jax(self) -> Entries:
        trainer = self.trainer()  # for its first weights and its events
        experiment, (inputs, targets) = trainer.experiment, self.events(trainer)
        return peers_jax.flip_flop(
            self.architecture, experiment.network.tau, experiment.learning_rate, trainer.params.W1,
            inputs, targets, self.check,
        )  # fmt: skip

    def events(self, trainer: Any) -> tuple[np.ndarray, np.ndarray]:
        """The events that this run would see, as many as a call takes: (T, 3) and (T,)."""
        stream = trainer.training.stream
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        while sum(len(part) for part, _ in parts) < self.steps:
            parts.append((stream.inputs[:, 0].copy(), stream.targets[:, 0, 0].copy()))
            trainer._refill()
        inputs, targets = (np.concatenate(column)[: self.steps] for column in zip(*parts, strict=True))
        return inputs, targets


CASES: list[Case] = [
    FastWeightGradient(1, 4, 8, 4, 4, steps=2000),
    FastWeightGradient(1, 16, 32, 16, 16, steps=200, dense_bar=25, structured_bar=3),
    FastWeightGradient(1, 32, 64, 32, 32, steps=50),
    FastWeightGradient(2, 4, 8, 4, 4, steps=2000),
    FastWeightGradient(2, 16, 32, 16, 16, steps=200, dense_bar=6, structured_bar=3),
    FastWeightGradient(2, 32, 64, 32, 32, steps=50),
    FlipFlopOnLine(1, bar=3),
    FlipFlopOnLine(2, bar=3),
]


# --- a library in its process ---


def serve(connection: Any, library: str) -> None:
    """Answer (verb, arguments) by (result, None) or (None, error) until the other end is closed."""
    bench = Bench(library)
    with connection:
        while True:
            try:
                verb, arguments = connection.recv()
            except (EOFError, KeyboardInterrupt):
                return
            try:
                connection.send((getattr(bench, verb)(*arguments), None))
            except SystemExit as error:
                connection.send((None, str(error)))
            except Exception:  # noqa: BLE001 (goes to the other end)
                connection.send((None, traceback.format_exc()))


class Bench:
    """What a library's process does."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.entries: Entries = {}

    def prepare(self, case: Case) -> dict[str, list[Mapping[str, np.ndarray]]]:
        """Build and compile a case's entries; give their answers."""
        self.entries = getattr(case, self.library)()
        answers = {group: [entry.answer() for entry in ways] for group, ways in self.entries.items()}
        for ways in self.entries.values():
            for entry in ways:
                entry.work()
        return answers

    def labels(self) -> dict[str, list[str]]:
        """What the prepared entries call themselves."""
        return {group: [entry.label for entry in ways] for group, ways in self.entries.items()}

    def measure(self, group: str, way: int, seconds: float) -> float:
        """Microseconds a step, over ``seconds`` or one call."""
        entry, steps, start = self.entries[group][way], 0, time.perf_counter()
        while steps == 0 or time.perf_counter() - start < seconds:
            steps += entry.work()
        return (time.perf_counter() - start) / steps * 1e6

    def describe(self) -> dict[str, Any]:
        """Versions, and the BLAS in use with the core that it takes the machine for."""
        if self.library == "rnnsim":
            import numba

            from rnnsim.blas import single_threaded

            with single_threaded():
                pass  # loads the BLAS that kernels call
            names, threads = ["rnnsim", "numba", "numpy", "scipy"], numba.get_num_threads()
        else:
            threads = os.cpu_count() or 1
            peers_jax.jax()
            names = ["jax", "jaxlib", "numpy"]
        from threadpoolctl import threadpool_info

        blas = [
            f"{info['internal_api']} {info['version']} {info.get('architecture', '')}".strip()
            for info in threadpool_info() if info["user_api"] == "blas"
        ]  # fmt: skip
        return {"versions": {name: version(name) for name in names}, "threads": threads,
                "blas": sorted(set(blas))}  # fmt: skip


class Worker:
    """The other end of a library's process."""

    def __init__(self, library: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far = context.Pipe()
        self.process = context.Process(target=serve, args=(far, library), daemon=True)
        self.process.start()
        far.close()

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have a method of :class:`Bench` called there."""
        self.connection.send((verb, arguments))
        result, error = self.connection.recv()
        if error is not None:
            raise SystemExit(error)
        return result

    def close(self) -> None:
        self.connection.close()
        self.process.join()


@contextmanager
def workers(libraries: Sequence[str]) -> Iterator[dict[str, Worker]]:
    """Start a process for each library, with nothing held back from it."""
    for name in HELD_BACK:
        os.environ.pop(name, None)
    started = {library: Worker(library) for library in libraries}
    try:
        yield started
    finally:
        for worker in started.values():
            worker.close()


# --- taking turns ---


class Row(NamedTuple):
    """One group's times in one case."""

    group: str
    label: str  # of the way that took part
    others: list[str]  # the ways that were tried and are slower
    times: list[float]  # microseconds a step, a number a round
    ratios: list[float]  # to rnnsim's time in the same round
    bar: float | None

    @property
    def median(self) -> float:
        return float(np.median(self.times))

    @property
    def ratio(self) -> float:
        return float(np.median(self.ratios))

    @property
    def spread(self) -> tuple[float, float]:
        low, high = np.quantile(self.ratios, [0.25, 0.75])
        return float(low), float(high)


def compare(
    case: Case, crew: Mapping[str, Worker], rounds: int, seconds: float
) -> tuple[list[Row], float]:
    """Check that all agree, pick the fastest of each group, and let them take turns."""
    error = disagreement(case.name, {name: worker.ask("prepare", case) for name, worker in crew.items()})
    groups = [
        (worker, group, labels)
        for worker in crew.values()
        for group, labels in worker.ask("labels").items()
    ]
    fastest = [pick(worker, group, len(labels), seconds) for worker, group, labels in groups]
    times: dict[str, list[float]] = {group: [] for _, group, _ in groups}
    for _ in range(rounds):
        for (worker, group, _), way in zip(groups, fastest, strict=True):
            times[group].append(worker.ask("measure", group, way, seconds))
    rows = []
    for (_, group, labels), way in zip(groups, fastest, strict=True):
        ratios = [theirs / ours for theirs, ours in zip(times[group], times[OURS], strict=True)]
        others = [label for i, label in enumerate(labels) if i != way]
        rows.append(Row(group, labels[way], others, times[group], ratios, case.bars.get(group)))
    return rows, error


def disagreement(name: str, answers: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> float:
    """Find the largest relative difference from rnnsim's answer.

    Raises
    ------
    SystemExit
        If it is beyond the tolerance: nothing is timed then.
    """
    reference, worst = answers["rnnsim"][OURS][0], 0.0
    for groups in answers.values():
        for group, ways in groups.items():
            for answer in ways:
                for part, wanted in reference.items():
                    error = float(np.max(np.abs(answer[part] - wanted)) / np.max(np.abs(wanted)))
                    if not error <= TOLERANCE:
                        raise SystemExit(f"{name}: {group} differs in {part} by {error:.1e}, relative")
                    worst = max(worst, error)
    return worst


def pick(worker: Worker, group: str, ways: int, seconds: float, trials: int = 3) -> int:
    """Find the fastest way by the least of a few short trials."""
    if ways == 1:
        return 0
    least = [np.inf] * ways
    for _ in range(trials):
        for way in range(ways):
            least[way] = min(least[way], worker.ask("measure", group, way, seconds / 2))
    return int(np.argmin(least))


# --- the report ---


def report(case: Case, rows: Sequence[Row], error: float) -> str:
    """Make a case's lines of the table."""
    return "\n".join([f"{case.name} (all agree to {error:.0e})", *map(line, rows)])


def line(row: Row) -> str:
    """Make a group's line: its time a step, its ratio, and the way that was the fastest."""
    said = f"  {row.group:18s}{row.median:12.3f} us{1e6 / row.median:12,.0f} steps/s"
    if row.group == OURS:
        return said
    low, high = row.spread
    said += f"{row.ratio:8.2f}  ({low:.2f} to {high:.2f})"
    if row.bar is not None:
        said += f"  wanted {row.bar:g}: {'met' if row.ratio >= row.bar else 'not met'}"
    return said + (f"  [{row.label}]" if row.others else "")


def as_json(case: Case, rows: Sequence[Row], error: float) -> dict[str, Any]:
    """Make a case's entry in the JSON file."""
    entries = [
        {**row._asdict(), "median": row.median, "ratio": row.ratio, "spread": row.spread} for row in rows
    ]
    return {"case": case.name, "disagreement": error, "entries": entries}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(),
            "load": os.getloadavg()[0]}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each turn")
    parser.add_argument("--json", type=Path, default=Path("side_by_side.json"))
    given = parser.parse_args(arguments)
    chosen = [case for case in CASES if not given.case or any(part in case.name for part in given.case)]
    with workers(LIBRARIES) as crew:
        libraries = {name: worker.ask("describe") for name, worker in crew.items()}
        about = {**machine(), "libraries": libraries}
        print(json.dumps(about, indent=2), "\n")
        results = []
        for case in chosen:
            rows, error = compare(case, crew, given.rounds, given.seconds)
            results.append(as_json(case, rows, error))
            print(report(case, rows, error), flush=True)
    given.json.write_text(json.dumps({**about, "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
