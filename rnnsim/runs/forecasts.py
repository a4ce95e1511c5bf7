"""What a trained network forecasts of the user's own data, and how good that is."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.data import intervals
from rnnsim.data.forecast import Forecast
from rnnsim.data.forecasting import Forecasting, ForecastRows
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.runs.forecast_reports import Report, report_on
from rnnsim.training.experiment import Experiment
from rnnsim.training.forward import simulate
from rnnsim.typing import Array, Params

PIECE = 16_384  # rows: all states of a piece are held at once


def forecasting_task(experiment: Experiment) -> Forecasting:
    """The task of a run, if it forecasts the user's data.

    Raises
    ------
    RnnsimError
        If it does not.
    """
    task = experiment.task
    if not isinstance(task, Forecasting):
        raise RnnsimError(f"this run is of the task {experiment.task.name}; it must be of data of your "
                          "own (a table or arrays) to be given other rows of them")  # fmt: skip
    return task


def forecast(experiment: Experiment, params: Params, data: Any, level: float) -> Forecast:
    """Let a network forecast from rows of the user's data; without any, from the test part.

    Raises
    ------
    UnknownName
        If they lack a column.
    RnnsimError
        If the run is of another task, or the data cannot be used.
    """
    task = forecasting_task(experiment)
    intervals.level_of(level)
    rows = task.test_rows() if data is None else task.new_rows(data)
    return forecast_from(rows, experiment.network, params, level)


def report(experiment: Experiment, params: Params, data: Any, level: float) -> Report:
    """Score such forecasts beside those of simple methods.

    Raises
    ------
    UnknownName, RnnsimError
        As :func:`forecast`, or if no truth is known.
    """
    task = forecasting_task(experiment)
    intervals.level_of(level)
    rows = task.test_rows() if data is None else task.new_rows(data)
    found = forecast_from(rows, experiment.network, params, level)
    references = {name: values[rows.first :] for name, values in task.references(rows).items()}
    return report_on(found, references, experiment.rule.name)


def forecast_from(rows: ForecastRows, network: Network, params: Params, level: float) -> Forecast:
    """Let a network forecast from rows that are prepared."""
    return rows.forecast(outputs_of(network, params, rows.inputs, rows.resets), level)


def outputs_of(network: Network, params: Params, inputs: Array, resets: Array) -> Array:
    """What a network says (T, k) to inputs (T, m); piece by piece, as all states would be much."""
    outputs, state = [], None
    for begin in range(0, len(inputs), PIECE):
        piece = slice(begin, begin + PIECE)
        found = simulate(
            network, params, np.ascontiguousarray(inputs[piece], network.dtype),
            resets=resets[piece], initial_state=state,
        )  # fmt: skip
        outputs.append(found.outputs[:, 0].astype(np.float64))
        state = found.states[-1]
    return np.concatenate(outputs)
