"""What a worker does: a batch of runs, each of which may fail by itself.

A worker may be this process, another one here, or one on another machine, which is given nothing but
the arguments of these functions.
"""

from __future__ import annotations

import math
import os
import pickle
import platform
import socket
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from importlib import metadata
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from rnnsim import registry
from rnnsim.compiler.machine import described_processor
from rnnsim.data.forecasting import called, forecasts_numbers
from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, described
from rnnsim.numerics.threads import one_thread
from rnnsim.runs.forecasts import forecaster_of_run
from rnnsim.sweeps.cells import Recipe, digest_of_data
from rnnsim.sweeps.store import Outcome
from rnnsim.training.evaluation import NOT_EVALUATED, TEST, VALIDATION, Evaluation
from rnnsim.training.experiment import Experiment
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array
from rnnsim.version import __version__

KEPT = 64  # experiments, and the kernels of which a process knows that it has them
MOST_SAID = 2000  # characters of an error
SHORT = 1.0  # seconds of a run for which it matters what looking up its loop takes


class Work(NamedTuple):
    """A cell as workers are given it: its recipe is pickled, unless they are in this process."""

    id: int
    recipe: Recipe | bytes
    kernels: str
    data: str = ""  # the digest of the data of which it is planned

    @property
    def alike(self) -> tuple[Recipe | bytes, str]:
        """What is the same for runs that differ by nothing but their seed."""
        return self.recipe, self.data


class Batch(NamedTuple):
    """Runs that are sent together: of each the place of its cell among ``cells``, and the seed."""

    cells: tuple[Work, ...]
    runs: tuple[tuple[int, int], ...]
    versions: Mapping[str, str]


class Refused(NamedTuple):
    """A worker has other versions than the process that hands out the runs."""

    worker: str
    differences: str


def versions_here() -> dict[str, str]:
    """The versions on which results depend: of Python, the libraries, rnnsim and its plugins."""
    known = registry.installed()
    plugins = {
        entry.distribution: entry.version
        for entries in (known.rules, known.tasks, known.networks)
        for entry in entries.values()
    }
    libraries = {name: metadata.version(name) for name in ("numpy", "numba", "llvmlite")}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **libraries, **plugins, "rnnsim": __version__}


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Say which versions a worker (``here``) has that the coordinator (``there``) does not."""
    return ", ".join(
        f"{name} {here.get(name, 'missing')} (not {there.get(name, 'installed')})"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    )


def worker_name() -> str:
    """The machine and the process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def kind_of_machine() -> tuple[str, str]:
    """The host, and the processor as its operating system describes it: kernels are compiled for it."""
    lines = described_processor().splitlines()
    said = [line for line in lines if line.startswith(("vendor_id", "cpu family", "model", "flags"))]
    return socket.gethostname(), "\n".join(said) or platform.processor() or platform.machine()


# --- batches ------------------------------------------------------------------------------------------


def carry_out(batch: Batch, alone: bool = True) -> list[Outcome] | Refused:
    """Carry out the runs of a batch, one after the other.

    ``alone`` means that there are other workers for the other cores, so that one thread is used.
    """
    if differs := differences(versions_here(), batch.versions):
        return Refused(worker_name(), differs)
    with one_thread() if alone else nullcontext():
        return [_outcome(batch.cells[place], seed) for place, seed in batch.runs]


def prepare(work: Work, versions: Mapping[str, str], alone: bool = True) -> Refused | None:
    """Compile what a cell needs, or load it; what is wrong with it shows in its runs."""
    if differs := differences(versions_here(), versions):
        return Refused(worker_name(), differs)
    with one_thread() if alone else nullcontext(), suppress(Exception):  # a plugin's may be any
        _loaded_experiment(work)
    return None


def _outcome(work: Work, seed: int) -> Outcome:
    """What comes of one run; it does not raise."""
    worker, begun = worker_name(), time.perf_counter()
    try:
        experiment = _loaded_experiment(work)
        begun = time.perf_counter()
        found = _run(work, replace(experiment, seed=seed))
    except Exception as error:  # noqa: BLE001 (of a plugin or a machine; the other runs go on)
        said = str(error) if isinstance(error, RnnsimError) else described(error)
        found = Outcome(work.id, seed, "failed", error=said[:MOST_SAID])
    return found._replace(seconds=time.perf_counter() - begun, worker=worker)


def _run(work: Work, experiment: Experiment) -> Outcome:
    """Carry out a run, from the allocation of its arrays to its evaluation."""
    if work.data and digest_of_data(experiment.task) != work.data:
        raise RnnsimError(f"the data {called(experiment.task)} are not those of which this sweep was "
                          "planned: they have changed, or are others on this machine")  # fmt: skip
    trainer, error = TaskTraining(experiment, like=_last.get(work.alike)), ""
    try:
        for _ in trainer.chunks():
            pass
        outcome = _how_it_ended(trainer)
        test, validation = _tested(trainer), trainer.evaluate_kept(VALIDATION)
    except (Diverged, NoSteadyState) as ended:
        outcome = "diverged" if isinstance(ended, Diverged) else "no steady state"
        test, validation, error = NOT_EVALUATED, NOT_EVALUATED, str(ended)
    _last.clear()
    if trainer.seconds < SHORT:
        _last[work.alike] = trainer
    return Outcome(
        work.id, experiment.seed, outcome, trainer.solved_at, trainer.step, _number(test.loss),
        _number(test.score), _number(validation.loss), error=error, curve=_curve(trainer.metrics()),
    )  # fmt: skip


def _tested(trainer: TaskTraining) -> Evaluation:
    """Loss and score on test data.

    Of numbers of the user's own, those of the forecasts: the mean squared error over the variance of the
    test part, and its root. What the network learns of them is scaled, and no other network's may be
    scaled alike.
    """
    experiment = trainer.experiment
    if not forecasts_numbers(experiment.task):
        return trainer.evaluate_kept(TEST)
    forecaster = forecaster_of_run(experiment, trainer.params, trainer.best, trainer.said)
    assert forecaster is not None
    nrmse = forecaster.nrmse()
    return Evaluation(nrmse**2, nrmse)


def _how_it_ended(trainer: TaskTraining) -> str:
    if trainer.solved_at is not None:
        return "solved"
    return "stopped early" if trainer.stopped_early else "complete"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _curve(metrics: Mapping[str, Array]) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in metrics.items()}
    return save(arrays)


@lru_cache(maxsize=KEPT)
def _experiment(recipe: Recipe | bytes, data: str) -> Experiment:
    """The experiment of a recipe; another one for other ``data``, which may be under the same name."""
    made: Recipe = pickle.loads(recipe) if isinstance(recipe, bytes) else recipe
    return made.experiment()


# the last run, if it was short, by its cell: it holds all of its arrays
_last: dict[tuple[Recipe | bytes, str], TaskTraining] = {}
_loaded: set[str] = set()  # the kernels that this process has


def _loaded_experiment(work: Work) -> Experiment:
    """The experiment of a cell, with its kernels in this process, so that they count for no run."""
    experiment = _experiment(*work.alike)
    if work.kernels not in _loaded:
        few = min(experiment.steps, experiment.window)
        with suppress(Diverged, NoSteadyState):
            _run(work, replace(experiment, steps=few))
        _last.clear()  # fewer steps are arrays of other shapes
        _loaded.add(work.kernels)
    return experiment
