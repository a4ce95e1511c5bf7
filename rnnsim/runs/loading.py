"""A run from its folder."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, folders
from rnnsim.data.calibration import Calibration
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.runs import run_folder
from rnnsim.runs.provenance import Provenance
from rnnsim.runs.repeating import arguments_of
from rnnsim.runs.result import Run
from rnnsim.runs.run_file import CheckpointTable, Result
from rnnsim.runs.run_folder import Contents
from rnnsim.task import Task
from rnnsim.training.as_data import OWN
from rnnsim.training.best import Best, of_looks
from rnnsim.training.checkpoints import Checkpoint
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import Experiment, configure, configure_from
from rnnsim.training.loop_arrays import params_of
from rnnsim.training.monitors import STEP, Recorded
from rnnsim.training.optimizers import Optimizer
from rnnsim.typing import Array

OF_RUN = {"monitor", "monitor_every"}  # arguments of a run that are no part of its configuration


def load(
    folder: str | os.PathLike[str],
    *,
    rule: Rule | None = None,
    task: Task | None = None,
    network: Network | None = None,
    optimizer: Optimizer | None = None,
    criterion: Any = None,
) -> Run:
    """Make the run of a folder that one was saved in, or is running in: it can be asked, and go on.

    Parameters
    ----------
    folder : path
    rule, task, network, optimizer, criterion : optional
        Where they are registered nowhere, or have functions of your own, which are not in the folder.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If the folder holds no run, a file in it is damaged, or a part of the run has to be given.
    """
    contents = run_folder.read(folder)
    given = {"rule": rule, "task": task, "network": network, "optimizer": optimizer,
             "criterion": criterion}  # fmt: skip
    path = checks.path("the folder of a run", folder)
    with folders.problem_reported(f"{path} holds a damaged run"):
        return _run_of(contents, {name: x for name, x in given.items() if x is not None}, path)


def _run_of(contents: Contents, given: Mapping[str, Any], path: Path) -> Run:
    file, arrays = contents.file, contents.arrays
    assert file.result is not None
    own = inspect.signature(configure).parameters.keys() | OF_RUN
    choices = arguments_of(file, arrays, given, own, with_facts=True)
    for name in OF_RUN:
        choices.pop(name, None)
    experiment = configure_from(choices.pop("rule"), choices.pop("task"), choices)
    beside, result = of_looks(arrays) | _monitored(contents), file.result
    recorded, given_monitors = None, file.settings.monitor
    if given_monitors is not None:
        known = {name: None if what == OWN else what for name, what in given_monitors.items()}
        recorded = Recorded(known, file.settings.monitor_every or 1)
    return Run(
        experiment=experiment,
        params=params_of(experiment.network, arrays),
        solved_at=result.solved_at,
        steps=result.steps,
        seconds=max(result.seconds, 1e-9),
        held_out=_evaluation(result),
        metrics={**_curve(contents.metrics, experiment), **beside},
        best=_best(experiment, arrays, "best", result),
        outcome=result.outcome,
        checkpoint=_checkpoint(experiment, contents),
        provenance=file.provenance or Provenance(),
        recorded=recorded,
        folder=path,
        said=arrays.get(run_folder.SAID),
        calibration=_calibration(contents.of(run_folder.CALIBRATION)),
    )


def _calibration(arrays: Mapping[str, Array]) -> Calibration | None:
    return Calibration(**arrays) if arrays else None


def _monitored(contents: Contents) -> dict[str, Array]:
    """What monitors recorded, in the order in which they were given."""
    found = contents.of("monitor")
    if STEP not in found:
        return {}
    order = contents.file.settings.monitor or {}
    return {STEP: found[STEP].astype(np.int64), **{name: found[name] for name in order}}


def _evaluation(result: Result) -> Evaluation:
    loss, score = (math.nan if x is None else x for x in (result.loss, result.score))
    return Evaluation(loss, score, result.spectral_radius)


def _curve(columns: Mapping[str, Array], experiment: Experiment) -> Mapping[str, Array]:
    if (score := experiment.task.score) not in columns:
        raise KeyError(f"column {score} in {run_folder.METRICS}")
    return columns


def _best(
    experiment: Experiment, arrays: Mapping[str, Array], where: str, table: Result | CheckpointTable
) -> Best | None:
    if table.best_step is None or table.best_loss is None:
        return None
    return Best(table.best_step, table.best_loss, params_of(experiment.network, arrays, where))


def _checkpoint(experiment: Experiment, contents: Contents) -> Checkpoint | None:
    table, result = contents.file.checkpoint, contents.file.result
    if table is None:
        return None
    if result is not None and table.step > result.steps:
        raise ValueError(f"its checkpoint is of step {table.step}, after {result.steps} steps")
    best = _best(experiment, contents.arrays, "checkpoint.best", table)
    arrays = contents.of("checkpoint")
    arrays = {name: arrays[name] for name in arrays if not name.startswith("best.")}
    if (said := contents.arrays.get(run_folder.SAID)) is not None:
        so_far = np.zeros((experiment.task.kept_outputs, *said.shape[1:]))
        so_far[: table.step] = said[: table.step]
        arrays[run_folder.SAID_SO_FAR] = so_far
    return Checkpoint(table.step, table.seconds, arrays, table.data, best, table.records)
