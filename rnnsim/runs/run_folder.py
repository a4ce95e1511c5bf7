"""The folder of a run: ``run.toml``, ``metrics.csv`` and ``arrays.safetensors``; none holds code.

:mod:`rnnsim.runs.run_file` says what is in the first. The second is the learning curve. The names of
arrays begin with what they are of: ``params.`` (the parameters), ``best.`` (those that did best),
``monitor.``, ``validation.`` (the loss at each look), ``checkpoint.`` (all that the run needs to go on),
``initial.``, ``network.``, ``rate.`` (arguments).
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnsim import checks, folders
from rnnsim.errors import RnnsimError
from rnnsim.runs.run_file import RunFile, parsed
from rnnsim.typing import Array

FILE, METRICS = "run.toml", "metrics.csv"
SAID = "said"  # the array of what a network said of rows before it learnt them
SAID_SO_FAR = "observed.said"  # the same in a checkpoint, where it is of later steps 0; kept once
CALIBRATION = "calibration"  # how the names of arrays begin by which forecasts have intervals
OLD_ARRAYS = "params.safetensors"  # before runs could be continued


class Contents(NamedTuple):
    """What the folder of a run holds.

    Attributes
    ----------
    file : RunFile
    metrics : dict of arrays
        The learning curve.
    arrays : dict of arrays
    """

    file: RunFile
    metrics: Mapping[str, Array]
    arrays: Mapping[str, Array]

    def of(self, prefix: str) -> dict[str, Array]:
        """The arrays whose names begin so, by the rest of their names."""
        return of_prefix(self.arrays, f"{prefix}.")


def of_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def with_prefix(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays, with this before their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def write(path: Path, contents: Contents, *, durable: bool = True) -> None:
    """Write a run into a folder, creating the folder if necessary.

    A run that is there already is replaced as a whole: if the process is killed, or the disk full, it
    stands. Other files in the folder are left alone.

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    texts = {FILE: folders.toml_file(contents.file), METRICS: folders.csv_file(contents.metrics)}
    with folders.problem_reported(f"cannot save the run in {path}"):
        _understood(texts, contents.arrays)  # what could not be read again does not replace what can
    arrays = folders.safetensors_file(contents.arrays)
    folders.write(path, {**texts, folders.ARRAYS: arrays}, "run", durable=durable)


def holds_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like that of a run."""
    try:
        return (checks.path("the folder of a run", folder) / FILE).is_file()
    except (RnnsimError, OSError, ValueError):  # ValueError: a name that no file can have
        return False


def read(folder: str | os.PathLike[str]) -> Contents:
    """Read the folder of a run.

    Raises
    ------
    RnnsimError
        If the folder holds no run, or a file in it is damaged.
    """
    path = checks.path("the folder of a run", folder)
    if os.path.isfile(path / OLD_ARRAYS) and not os.path.isfile(path / folders.ARRAYS):
        raise RnnsimError(f"{path} was saved by an older rnnsim, and cannot go on; its weights are in "
                          f"{OLD_ARRAYS}, its curve is in {METRICS}")  # fmt: skip
    with folders.problem_reported(f"{path} holds a damaged run"):
        return _understood(*folders.read(path, (FILE, METRICS), "run"))


def _understood(texts: Mapping[str, bytes], arrays: Mapping[str, Array]) -> Contents:
    """Parse what a folder holds, and check that a run can have these values."""
    file = parsed(folders.parsed_toml(texts[FILE], FILE))
    if file.result is None:
        raise ValueError(f"{FILE} has no table result")
    metrics = _parsed_metrics(texts[METRICS], file.result.steps)
    if not of_prefix(arrays, "params."):
        raise ValueError(f"{folders.ARRAYS} holds no parameters")
    for name, array in arrays.items():
        if name.startswith(("params.", "best.", "checkpoint.params.", "checkpoint.best.")):
            if array.dtype.name not in checks.DTYPES:
                raise ValueError(f"{name} is of {array.dtype}; it is of {' or '.join(checks.DTYPES)}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")
    return Contents(file, metrics, arrays)


def _parsed_metrics(content: bytes, steps: int) -> dict[str, Array]:
    if len(content) > folders.MOST:
        raise ValueError(f"{METRICS} has {len(content):,} bytes, more than {folders.MOST:,}")
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"two columns of {METRICS} are called {name}")
    for name in ("step", "loss"):
        if name not in header:
            raise ValueError(f"{METRICS} has no column {name}")
    columns = np.array(rows, float).reshape(len(rows), len(header)).T
    metrics = dict(zip(header, columns))
    step = metrics["step"]
    if not ((step >= 1) & (step <= steps) & (step % 1 == 0)).all() or not (np.diff(step) > 0).all():
        raise ValueError(f"the steps in {METRICS} are not whole numbers from 1 to {steps}, in order")
    if not np.isfinite(metrics["loss"]).all():
        raise ValueError(f"a loss in {METRICS} is not finite")
    return {**metrics, "step": step.astype(np.int64)}
