"""Timing of libraries in separate processes: they must agree on a case, and then alternate."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.entries import OURS, Answer, Entries
from benchmarks.rows import Row

HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # where set, they slow OpenBLAS down
SETTLE = 0.01  # seconds; the previous library's threads spin for a while before they sleep

Answers = Mapping[str, Mapping[str, Sequence[Answer | None]]]  # by library and group


# --- the process of a library ---


def serve(connection: Any, library: str) -> None:
    """Answer (verb, arguments) with (result, None) or (None, error) until the connection is closed."""
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
            except Exception:  # noqa: BLE001 (reported to the parent process)
                connection.send((None, traceback.format_exc()))


class Bench:
    """The methods that are called in the process of a library."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.entries: Entries = {}

    def prepare(self, case: Case) -> dict[str, list[Answer | None]]:
        """Build and compile a case's entries, and return their answers."""
        self.entries = {}  # frees the last case's arrays first
        self.entries = getattr(case, self.library)()
        answers = {
            group: [entry.answer() if entry.answer else None for entry in ways]
            for group, ways in self.entries.items()
        }
        for ways in self.entries.values():
            for entry in ways:
                entry.work()
        return answers

    def labels(self) -> dict[str, list[str]]:
        """The labels of the prepared entries, by group."""
        return {group: [entry.label for entry in ways] for group, ways in self.entries.items()}

    def measure(self, group: str, way: int, seconds: float) -> float:
        """Measure microseconds per unit, over ``seconds`` but at least one call."""
        time.sleep(SETTLE)
        entry, units, start = self.entries[group][way], 0, time.perf_counter()
        while units == 0 or time.perf_counter() - start < seconds:
            units += entry.work()
        return (time.perf_counter() - start) / units * 1e6

    def fastest(self, group: str, seconds: float, trials: int = 4) -> int:
        """Find a group's fastest entry by the minimum of interleaved trials; a long call gets one."""
        ways = range(len(self.entries[group]))
        if len(ways) == 1:
            return 0
        least, spent = [np.inf] * len(ways), [0.0] * len(ways)
        for _ in range(trials):
            for way in ways:
                if spent[way] < seconds:
                    start = time.perf_counter()
                    least[way] = min(least[way], self.measure(group, way, seconds / trials))
                    spent[way] += time.perf_counter() - start
        return int(np.argmin(least))

    def describe(self) -> dict[str, Any]:
        """Versions, number of threads, and the BLAS in use with the core type that it detects."""
        packages, threads = getattr(self, f"_load_{self.library}")()
        from threadpoolctl import threadpool_info

        blas = [
            f"{info['internal_api']} {info['version']} {info.get('architecture', '')}".strip()
            for info in threadpool_info() if info["user_api"] == "blas"
        ]  # fmt: skip
        versions = {name: version(name) for name in packages}
        return {"versions": versions, "threads": threads, "blas": sorted(set(blas))}

    def _load_rnnsim(self) -> tuple[list[str], int]:
        import numba
        import scipy.linalg.cython_blas  # noqa: F401 (the BLAS that kernels call)

        return ["rnnsim", "numba", "numpy", "scipy"], numba.get_num_threads()

    def _load_jax(self) -> tuple[list[str], int]:
        from benchmarks.peers.jax_setup import jax

        return ["jax", "jaxlib", "numpy"], len(jax().devices())

    def _load_torch(self) -> tuple[list[str], int]:
        from benchmarks.peers.torch_bptt import torch

        return ["torch"], torch().get_num_threads()


class Worker:
    """The parent's handle on the process of a library."""

    def __init__(self, library: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, child_end = context.Pipe()
        self.process = context.Process(target=serve, args=(child_end, library), daemon=True)
        self.process.start()
        child_end.close()

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Call a method of :class:`Bench` in the process.

        Raises
        ------
        SystemExit
            With the error there, if it fails.
        """
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
    """Start a process for each library, without the restrictions of the environment."""
    for name in HELD_BACK:
        os.environ.pop(name, None)
    started = {library: Worker(library) for library in libraries}
    try:
        yield started
    finally:
        for worker in started.values():
            worker.close()


# --- alternating ---


def compare(
    case: Case, processes: Mapping[str, Worker], rounds: int, seconds: float
) -> tuple[list[Row], float]:
    """Check that all agree, pick the fastest entry of each group, and time these alternately."""
    taking_part = {library: processes[library] for library in case.libraries}
    answers = {library: worker.ask("prepare", case) for library, worker in taking_part.items()}
    error = disagreement(case.name, answers, case.tolerance)
    groups = [
        (worker, group, labels)
        for worker in taking_part.values()
        for group, labels in worker.ask("labels").items()
    ]
    fastest = [worker.ask("fastest", group, seconds) for worker, group, _ in groups]
    times: dict[str, list[float]] = {group: [] for _, group, _ in groups}
    for _ in range(rounds):
        for (worker, group, _), way in zip(groups, fastest, strict=True):
            times[group].append(worker.ask("measure", group, way, seconds))
    rows = [
        Row.of(case, group, labels, way, times[group], times[OURS])
        for (_, group, labels), way in zip(groups, fastest, strict=True)
    ]
    return rows, error


def disagreement(name: str, answers: Answers, tolerance: float) -> float:
    """Find the largest difference from rnnsim's answer, relative to the largest number of each array.

    Raises
    ------
    SystemExit
        If it exceeds the tolerance; nothing is timed then.
    """
    reference, worst = answers["rnnsim"][OURS][0], 0.0
    assert reference  # an empty answer would agree with everything
    for groups in answers.values():
        for group, ways in groups.items():
            for answer in ways:
                if answer is None:  # a yardstick
                    continue
                for part, wanted in reference.items():
                    error = float(np.max(np.abs(answer[part] - wanted)) / np.max(np.abs(wanted)))
                    if not error <= tolerance:
                        raise SystemExit(f"{name}: {group} differs in {part} by {error:.1e}, relative")
                    worst = max(worst, error)
    return worst
