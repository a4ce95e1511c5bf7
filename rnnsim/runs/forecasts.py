"""What a trained network forecasts of the user's own data, how good that is, and figures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.data import intervals
from rnnsim.data.calibration import Calibration
from rnnsim.data.forecast import Forecast
from rnnsim.data.forecasting import Forecasting, ForecastRows
from rnnsim.data.measures import Measures
from rnnsim.data.parts import TEST, VALIDATION
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.runs import figures, forecast_figures
from rnnsim.runs.forecast_reports import Report, report_on
from rnnsim.training.best import Best
from rnnsim.training.experiment import Experiment
from rnnsim.training.forward import simulate
from rnnsim.typing import Array, Params

PIECE = 16_384  # rows: all states of a piece are held at once
FIGURES = ("forecast", "errors", "confusion")


class Forecaster:
    """A trained network that forecasts the user's data.

    Parameters
    ----------
    experiment : Experiment
    params : NamedTuple of arrays
    calibration : Calibration or None
        What the validation part said of the network.
    said : (rows, B, k) array or None
        Of a network that learnt as rows came: what it said of each, before it learnt it.

    Raises
    ------
    RnnsimError
        If the run is of another task.
    """

    def __init__(
        self, experiment: Experiment, params: Params, calibration: Calibration | None,
        said: Array | None = None,
    ) -> None:  # fmt: skip
        self.experiment, self.params, self.calibration = experiment, params, calibration
        self.said = said
        task = experiment.task
        if not isinstance(task, Forecasting):
            raise RnnsimError(f"this run is of the task {task.name}; only runs on data of your own (a "
                              "table, or arrays) can be given other rows of them")  # fmt: skip
        self.task: Forecasting = task

    def rows(self, data: Any) -> ForecastRows:
        """The rows to forecast from: prepared data, or without any the test part."""
        if data is not None:
            return self.task.new_rows(data)
        rows = self.task.rows_of_part(TEST)
        if not rows.counted.any():
            raise RnnsimError(
                "no row has a target in the test part; give other rows to forecast from, or a test= "
                "that has some"
            )
        return rows

    def forecast(self, data: Any = None, level: float = intervals.LEVEL) -> Forecast:
        """Forecast from rows of the user's data.

        Raises
        ------
        UnknownName
            If they lack a column.
        RnnsimError
            If the data or the level cannot be used.
        """
        intervals.level_of(level)
        return self._forecast(self.rows(data), level, data is None)

    def report(self, data: Any = None, level: float = intervals.LEVEL) -> Report:
        """Score such forecasts beside those of simple methods.

        Raises
        ------
        UnknownName, RnnsimError
            As :meth:`forecast`, or if no truth is known.
        """
        intervals.level_of(level)
        rows = self.rows(data)
        found = self._forecast(rows, level, data is None)
        references = {name: values[rows.counted]
                      for name, values in self.task.references(rows).items()}  # fmt: skip
        return report_on(found, references, self.experiment.rule.name)

    def nrmse(self) -> float:
        """Of forecasts of the test part: the median over columns and horizons; nan of classes."""
        found = self._forecast(self.rows(None), intervals.LEVEL, own=True)
        rows = report_on(found, {}, self.experiment.rule.name).rows
        of_each = [row.found.nrmse for row in rows if isinstance(row.found, Measures)]
        return float(np.median(of_each)) if of_each else np.nan

    def draw(self, what: str, data: Any = None, path: str | Path | None = None) -> Any:
        """Draw one of ``FIGURES``, and save it if ``path`` is given; a figure of matplotlib.

        Raises
        ------
        UnknownName, RnnsimError
            As :meth:`report`, or if it cannot be drawn.
        """
        figures.figure_type(path)
        title = f"{self.experiment.rule.name} on {self._named(data)}"
        if checks.known_name("figure", what, FIGURES) == "forecast":
            return forecast_figures.forecasts(self.forecast(data), title, path)
        draw = forecast_figures.errors if what == "errors" else forecast_figures.confusion
        return draw(self.report(data), title, path)

    def _named(self, data: Any) -> str:
        """What the data are called: by their file, if they are in one."""
        if data is None:
            return self.task.data_name()
        return Path(data).name if isinstance(data, str | Path) and str(data) else "other rows"

    def _forecast(self, rows: ForecastRows, level: float, own: bool) -> Forecast:
        if own and self.said is not None:
            outputs = self._said(rows)
            return rows.forecast(outputs, rows.followed(outputs), level)
        return rows.forecast(self._outputs(rows), self.calibration, level)

    def _outputs(self, rows: ForecastRows) -> Array:
        return outputs_of(self.experiment.network, self.params, rows.inputs, rows.resets)

    def _said(self, rows: ForecastRows) -> Array:
        """What was said of the rows when they came; nan of those that have not come."""
        assert self.said is not None
        outputs = np.full((len(rows.index), self.experiment.network.n_out), np.nan)
        outputs[: len(self.said)] = self.said[:, 0]
        return outputs

    def validated(self) -> Calibration | None:
        """What the validation part says of the network; None of classes.

        On-line it is what the rows said that came before those that count, and how far it is followed
        now.
        """
        if self.said is not None:
            rows = self.task.rows_of_part(TEST)
            found = rows.followed(self._said(rows))
            return found._replace(shrink=found.shrink[len(self.said) - 1])
        rows = self.task.rows_of_part(VALIDATION)
        return rows.calibration(self._outputs(rows))


def forecaster_of_run(
    experiment: Experiment, params: Params, best: Best | None, said: Array | None
) -> Forecaster | None:
    """What forecasts by a run that has ended; None if the run is of another task."""
    if not isinstance(experiment.task, Forecasting):
        return None
    found = Forecaster(experiment, params if best is None else best.params, None, said)
    found.calibration = found.validated()
    return found


def outputs_of(network: Network, params: Params, inputs: Array, resets: Array) -> Array:
    """What a network says (T, k) to inputs (T, m); piece by piece, as all states would be much."""
    outputs, state = [np.zeros((0, network.n_out))], None
    for begin in range(0, len(inputs), PIECE):
        piece = slice(begin, begin + PIECE)
        found = simulate(
            network, params, np.ascontiguousarray(inputs[piece], network.dtype),
            resets=resets[piece], initial_state=state,
        )  # fmt: skip
        outputs.append(found.outputs[:, 0].astype(np.float64))
        state = found.states[-1]
    return np.concatenate(outputs)
