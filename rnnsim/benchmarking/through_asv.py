"""Benchmarks run through asv, in processes of their own; each gives a row.

asv discovers and runs them as it would from its own command line; its configuration is made here, so
that a plugin's repository needs none. Only this module and :mod:`.environment` know asv.
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
TIMEOUT = 600  # seconds, where a benchmark says nothing

Key = tuple[str, tuple[Any, ...]]  # a benchmark's name and the values of its parameters


@dataclass(frozen=True)
class Row:
    """One benchmark for one choice of its parameters, from one process.

    Attributes
    ----------
    benchmark : str
        Its name, such as ``speed.Step.time_step``.
    params : tuple
        The values of its parameters.
    value : float or None
        None where it failed, nan where it does not apply.
    samples : tuple of float
        Of a time: what the process measured, one after the other.
    error : str
        What it said when it failed.
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
    """A row's name, as asv has it."""
    benchmark, params = key
    inside = ", ".join(map(str, params))
    return f"{benchmark}({inside})" if inside else benchmark


def require_asv() -> None:
    """Refuse to go on without asv.

    Raises
    ------
    RnnsimError
        Saying what to install.
    """
    try:
        import asv  # noqa: F401
        import virtualenv  # noqa: F401
    except ImportError as error:
        raise RnnsimError(f"benchmarks run through asv, and {error.name} is not installed: "
                          "pip install 'rnnsim[bench]'") from None  # fmt: skip


class Suite:
    """The benchmarks, in one environment.

    Parameters
    ----------
    environment
        Of asv; by default the one that this Python runs in.
    select : sequence of str
        Regular expressions, one of which a benchmark's name with its parameters must match, such as
        ``speed.Step.time_step('rtrl', 8)``.
    repository, commit
        What to install in the environment first, where it is not there yet.
    folder : Path
        Of the benchmarks.
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
        """What asv has discovered."""
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
        """The rows that there will be."""
        return [key for name in self.benchmarks for _, key in self._selected(name)]

    def run(
        self, *, quick: bool = False, only: Sequence[str] | None = None, rounds: int | None = None
    ) -> list[Row]:
        """Run them once more, in new processes.

        Parameters
        ----------
        quick : bool
            Whether each is called only once.
        only : sequence of str, optional
            Names of benchmarks, with all of their selected parameters.
        rounds : int, optional
            How many processes measure each time, in the place of what the benchmark says.
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
        """Give a function that runs one row in a process of its own, the suite being imported once."""
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
        """The rows of a benchmark that were selected, with their places among all."""
        params = self.benchmarks[name]["params"]
        selected = self.benchmarks.benchmark_selection.get(name)
        for i, combination in enumerate(itertools.product(*params)):
            if not params or i in selected:
                yield i, (name, tuple(map(_value, combination)))

    def _rows(self, name: str, results: Any) -> Iterator[Row]:
        """The rows of a benchmark, with what was measured."""
        params = self.benchmarks[name]["params"]
        values = results.get_result_value(name, params)
        samples = results.get_result_samples(name, params)
        error = results.stderr.get(name) or ""
        for i, (_, chosen) in self._selected(name):
            said = error if values[i] is None else ""
            yield Row(name, chosen, values[i], tuple(samples[i] or ()), said)


def _value(text: str) -> Any:
    """A parameter, of which asv has the repr."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def configuration(**given: Any) -> Any:
    """What would be in ``asv.conf.json``."""
    from asv.config import Config

    standard = {"version": 1, "project": "rnnsim", "repo": ".", "benchmark_dir": str(SUITE)}
    return Config.from_json({**standard, **given})


def existing_environment() -> Any:
    """The environment that this Python runs in, with the path that it was given."""
    from asv.environment import ExistingEnvironment

    if path := os.environ.get("PYTHONPATH"):
        os.environ.setdefault("ASV_PYTHONPATH", path)  # or asv would take it away
    return ExistingEnvironment(configuration(), "same", {}, {})


def launch_method() -> str:
    """Fork from a process that has imported the suite, where that can be done: it saves seconds."""
    return "forkserver" if hasattr(os, "fork") else "spawn"


@contextmanager
def quiet() -> Iterator[None]:
    """Let asv report nothing but failures of its own."""
    from asv.console import log

    with log.set_level(logging.ERROR):
        yield


@contextmanager
def server_may_die() -> Iterator[None]:
    """Say in a line that the process is gone from which others are forked, as when memory runs out."""
    from asv.util import UserError

    try:
        yield
    except (RuntimeError, OSError, UserError) as error:
        raise RnnsimError(f"the process that runs the benchmarks has ended: {error}") from None


def failures(rows: Sequence[Row]) -> list[str]:
    """Say which rows failed, and the last line of why."""
    return [
        f"{row.name} failed: {(row.error.strip().splitlines() or ['without a word'])[-1]}"
        for row in rows
        if row.value is None
    ]


def by_key(rows: Sequence[Row]) -> Mapping[Key, Row]:
    """The rows that hold a number."""
    return {row.key: row for row in rows if row.value is not None and not math.isnan(row.value)}


def of_rules(rules: Sequence[str]) -> list[str]:
    """Select the benchmarks of some rules: those whose first parameter is one of them."""
    return [rf"\({re.escape(repr(rule))}[,)]" for rule in rules]
