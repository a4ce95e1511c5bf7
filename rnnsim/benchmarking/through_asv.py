"""Running benchmarks through asv, in separate processes; each result is a row.

asv discovers and runs them as it would from its own command line. Its configuration is made here, so
that a plugin's repository needs none. Nearly all use of asv's interface is here and in
:mod:`.environment`.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.errors import RnnsimError

SUITE = Path(__file__).parent / "suite"
TIMEOUT = 600  # seconds, for benchmarks that set none

Key = tuple[str, tuple[Any, ...]]  # a benchmark's name and the values of its parameters


@dataclass(frozen=True)
class Row:
    """The result of a benchmark for one combination of its parameters.

    Attributes
    ----------
    benchmark : str
        The benchmark's name, such as ``speed.Step.time_step``.
    params : tuple
        The values of its parameters.
    value : float or None
        None if it failed, nan if it does not apply.
    samples : tuple of float
        The samples of a time in seconds, in order.
    error : str
        Its error output, if it failed.
    """

    benchmark: str
    params: tuple[Any, ...]
    value: float | None
    samples: tuple[float, ...] = ()
    error: str = ""

    @property
    def key(self) -> Key:
        return self.benchmark, self.params

    @property
    def name(self) -> str:
        return named(self.key)


def named(key: Key) -> str:
    """Format a row's name as asv does."""
    benchmark, params = key
    arguments = ", ".join(map(str, params))
    return f"{benchmark}({arguments})" if arguments else benchmark


def require_asv() -> None:
    """Check that asv and virtualenv are installed.

    Raises
    ------
    RnnsimError
        If one is not, with what to install.
    """
    try:
        import asv  # noqa: F401
        import virtualenv  # noqa: F401
    except ImportError as error:
        raise RnnsimError(f"benchmarks run through asv, and {error.name} is not installed: "
                          "pip install 'rnnsim[bench]'") from None  # fmt: skip


class Suite:
    """The benchmarks in one environment.

    Parameters
    ----------
    environment
        An environment of asv; by default the one that this Python runs in.
    select : sequence of str
        Regular expressions, one of which must match a benchmark's name with its parameters, such as
        ``speed.Step.time_step('rtrl', 8)``.
    repository, commit
        What is installed in the environment, if it is not the current one.
    folder : Path
        The folder of the benchmarks.
    """

    def __init__(
        self,
        environment: Any = None,
        select: Sequence[str] = (),
        repository: Any = None,
        commit: str | None = None,
        folder: Path = SUITE,
    ) -> None:
        require_asv()
        self.environment = environment or existing_environment()
        self.select = list(select)
        self.repository = repository
        self.commit = commit
        self.folder = folder

    @cached_property
    def benchmarks(self) -> Any:
        """The benchmarks that asv discovers.

        Raises
        ------
        RnnsimError
            If asv cannot read the folder.
        """
        from asv.benchmarks import Benchmarks
        from asv.repo import NoRepository
        from asv.util import ProcessError, UserError

        repository = self.repository or NoRepository()
        with quiet():
            try:
                return Benchmarks.discover(
                    configuration(benchmark_dir=str(self.folder)), repository, [self.environment],
                    [self.commit], self.select,
                )  # fmt: skip
            except (ProcessError, UserError) as error:
                raise RnnsimError(f"asv cannot read the benchmarks: {error}") from None

    def selection(self) -> list[Key]:
        """The keys of the selected rows."""
        return [key for name in self.benchmarks for _, key in self._selected(name)]

    def run(
        self, *, quick: bool = False, only: Sequence[str] | None = None, rounds: int | None = None
    ) -> list[Row]:
        """Run the selected benchmarks in new processes.

        Parameters
        ----------
        quick : bool
            Whether each is called only once.
        only : sequence of str, optional
            Names of the benchmarks to run; by default all.
        rounds : int, optional
            Number of processes that measure each time, by default the benchmark's own.
        """
        from asv.runner import run_benchmarks

        skipped = [] if only is None else [name for name in self.benchmarks if name not in only]
        chosen = self.benchmarks.filter_out(skipped)
        attributes = {} if rounds is None else {"rounds": rounds}
        with quiet(), server_may_die():
            results = run_benchmarks(
                chosen, self.environment, quick=quick, extra_params=attributes, record_samples=True,
                launch_method=launch_method(),
            )  # fmt: skip
        return [row for name in chosen for row in self._rows(name, results)]

    @contextmanager
    def opened(self) -> Iterator[Callable[[Key], Row]]:
        """Yield a function that runs one row in a process of its own; the suite is imported once."""
        from asv.runner import get_spawner, run_benchmark

        index = {key: (name, i) for name in self.benchmarks for i, key in self._selected(name)}

        def run_one(key: Key) -> Row:
            name, i = index[key]
            benchmark = {**self.benchmarks[name]}
            benchmark["timeout"] = benchmark.get("timeout") or TIMEOUT
            result = run_benchmark(benchmark, spawner, profile=False, selected_idx=[i])
            samples = tuple(result.samples[i] or ())
            value = float(np.median(samples)) if samples else result.result[i]
            return Row(name, key[1], value, samples, result.stderr if value is None else "")

        with quiet(), server_may_die():
            spawner = get_spawner(self.environment, str(self.folder), launch_method())
            try:
                spawner.preimport()
                yield run_one
            finally:
                spawner.close()

    def _selected(self, name: str) -> Iterator[tuple[int, Key]]:
        """The selected rows of a benchmark, with their indices among all of its rows."""
        params = self.benchmarks[name]["params"]
        selected = self.benchmarks.benchmark_selection.get(name)
        for i, combination in enumerate(itertools.product(*params)):
            if not params or i in selected:
                yield i, (name, tuple(map(_value, combination)))

    def _rows(self, name: str, results: Any) -> Iterator[Row]:
        """The selected rows of a benchmark with their results."""
        params = self.benchmarks[name]["params"]
        values = results.get_result_value(name, params)
        samples = results.get_result_samples(name, params)
        error = results.stderr.get(name) or ""
        for i, (_, chosen) in self._selected(name):
            said = error if values[i] is None else ""
            yield Row(name, chosen, values[i], tuple(samples[i] or ()), said)


def _value(text: str) -> Any:
    """The value of a parameter, which asv stores as its ``repr``."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def configuration(**given: Any) -> Any:
    """Make asv's configuration, in place of an ``asv.conf.json``."""
    from asv.config import Config

    standard = {"version": 1, "project": "rnnsim", "repo": ".", "benchmark_dir": str(SUITE)}
    return Config.from_json({**standard, **given})


def existing_environment() -> Any:
    """The environment that this Python runs in, including its ``PYTHONPATH``."""
    from asv.environment import ExistingEnvironment

    if path := os.environ.get("PYTHONPATH"):
        os.environ.setdefault("ASV_PYTHONPATH", path)  # asv removes PYTHONPATH
    return ExistingEnvironment(configuration(), "same", {}, {})


def launch_method() -> str:
    """Fork from a process that has imported the suite, where forking exists: that saves seconds."""
    return "forkserver" if hasattr(os, "fork") else "spawn"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence asv except for errors."""
    from asv.console import log

    with log.set_level(logging.ERROR):
        yield


@contextmanager
def server_may_die() -> Iterator[None]:
    """Report in one line if the process that the others are forked from dies, e.g. out of memory."""
    from asv.util import UserError

    try:
        yield
    except (RuntimeError, OSError, UserError) as error:
        raise RnnsimError(f"the process that runs the benchmarks has ended: {error}") from None


def failures(rows: Sequence[Row]) -> list[str]:
    """Describe the rows that failed, each with the last line of its error output."""
    return [
        f"{row.name} failed: {(row.error.strip().splitlines() or ['without a word'])[-1]}"
        for row in rows
        if row.value is None
    ]


def by_key(rows: Sequence[Row]) -> Mapping[Key, Row]:
    """The rows that hold a number, by key."""
    return {row.key: row for row in rows if row.value is not None and not math.isnan(row.value)}


def of_rules(rules: Sequence[str]) -> list[str]:
    """Regular expressions for the benchmarks whose first parameter is one of these rules."""
    return [rf"\({re.escape(repr(rule))}[,)]" for rule in rules]
