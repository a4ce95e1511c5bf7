"""Whether two runs, or what determines them, are the same to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnsim import Run
from rnnsim.training.best import Best
from rnnsim.training.checkpoints import Checkpoint
from rnnsim.training.experiment import Experiment
from rnnsim.training.learning_rates import rates_of

DATES = ("seconds", "provenance", "folder")  # which two runs need not have in common


def differences(one: Experiment, other: Experiment) -> list[str]:
    """The fields in which two experiments differ, arrays to the bit."""
    found = []
    for field in dataclasses.fields(Experiment):
        mine, its = (getattr(each, field.name) for each in (one, other))
        if field.name == "learning_rate":
            rates = (rates_of(each.network, each.learning_rate) for each in (one, other))
            mine, its = ((rate, scales.tobytes()) for rate, scales in rates)
        elif field.name == "network":
            mine, its = ((repr(x), repr(getattr(x, "connectivity", None))) for x in (mine, its))
        elif field.name == "params":
            mine, its = (None if x is None else [(y.tobytes(), y.dtype) for y in x] for x in (mine, its))
        elif field.name in ("optimizer", "rule", "task", "criterion"):
            mine, its = (type(mine), repr(mine)), (type(its), repr(its))
        if mine != its:
            found.append(field.name)
    return found


def bits(arrays: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Arrays by name, as what can be compared: type, shape and bytes."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    return {name: (x.dtype.str, x.shape, x.tobytes()) for name, x in found.items()}


def bits_of_best(best: Best | None) -> Any:
    return best and (best.step, best.loss, bits(best.params._asdict()))


def bits_of_checkpoint(point: Checkpoint | None) -> Any:
    return point and (
        point.step,
        bits(point.arrays),
        point.data,
        bits_of_best(point.best),
        point.records,
    )


def run_differences(one: Run, other: Run, but: tuple[str, ...] = DATES) -> list[str]:
    """The fields in which two runs differ, arrays to the bit; of experiments, their fields."""
    found = differences(one.experiment, other.experiment)
    for field in dataclasses.fields(Run):
        mine, its = (getattr(each, field.name) for each in (one, other))
        if field.name == "params":
            mine, its = bits(mine._asdict()), bits(its._asdict())
        elif field.name == "metrics":
            mine, its = [*bits(mine).items()], [*bits(its).items()]  # in the same order
        elif field.name == "best":
            mine, its = bits_of_best(mine), bits_of_best(its)
        elif field.name == "checkpoint":
            mine, its = bits_of_checkpoint(mine), bits_of_checkpoint(its)
        elif field.name == "held_out":
            mine, its = repr(mine), repr(its)  # nan is nan
        elif field.name == "calibration":
            mine, its = (each and bits(each._asdict()) for each in (mine, its))
        elif field.name == "said":
            mine, its = (None if each is None else bits({"said": each}) for each in (mine, its))
        if field.name not in ("experiment", *but) and mine != its:
            found.append(field.name)
    return found
