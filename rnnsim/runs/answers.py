"""What a trained network answers, how good that is, and figures of it: what a run can be asked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnsim import checks
from rnnsim.data import intervals
from rnnsim.data.calibration import Calibration
from rnnsim.data.forecasting import Forecasting
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.runs import figures
from rnnsim.runs.forecast_reports import Report
from rnnsim.runs.forecasts import FIGURES, Forecaster
from rnnsim.training.best import Best
from rnnsim.training.experiment import Experiment
from rnnsim.training.forward import simulate
from rnnsim.typing import Array, Inputs, Params


class Answers:
    """What a run can be asked; its attributes are those of :class:`rnnsim.Run`."""

    experiment: Experiment
    params: Params
    solved_at: int | None
    steps: int
    metrics: dict[str, Array]
    best: Best | None
    calibration: Calibration | None
    said: Array | None

    @reports_memory
    def predict(
        self, inputs: Inputs, *, params: Params | None = None, resets: Array | None = None,
        initial_state: Array | None = None, level: float = intervals.LEVEL,
    ) -> Any:  # fmt: skip
        """Compute what the trained network answers.

        Parameters
        ----------
        inputs : (T, B, m) or (T, m) array, or a pair of them for a fast-weight network
            Sequences, or the patterns of a task that reads steady states. Of a run on the user's own
            data: rows of such data, in any form that :func:`rnnsim.run` takes, with the same columns
            (those of the targets may be absent). The network begins anew at their first row, which
            should be some rows before those that matter.
        params : NamedTuple of arrays, optional
            Other parameters than the last, such as ``run.best.params``. On the user's own data, those
            that did best on validation data are the default, where they are kept.
        resets : (T, B) or (T,) bool array, optional
            Where the state is reset before the step.
        initial_state : (B, N) or (N,) array, optional
            Where sequences begin.
        level : float
            Of forecasts of the user's own data: the share of truths that intervals are to cover.

        Returns
        -------
        (T, B, k) array, or Forecast
            The latter of a run on the user's own data: in units, with intervals and time stamps.

        Raises
        ------
        UnknownName
            If the user's data lack a column.
        RnnsimError
            If an array has a wrong shape, type or value, or the user's data cannot be used.
        """
        experiment = self.experiment
        intervals.level_of(level)
        if isinstance(experiment.task, Forecasting):
            if resets is not None or initial_state is not None:
                raise RnnsimError("resets and initial_state are for runs on arrays over time; those on "
                                  "a table take rows as rnnsim.run takes them")  # fmt: skip
            return self.forecaster(params).forecast(inputs, level)
        found = simulate(
            experiment.network, self.params if params is None else params, inputs, resets=resets,
            initial_state=initial_state, steady_state=experiment.task.steady,
        )  # fmt: skip
        return found.outputs

    @reports_memory
    def evaluate(
        self, data: Any = None, *, params: Params | None = None, level: float = intervals.LEVEL
    ) -> Report:
        """Say how good the forecasts of the user's data are, beside those of simple methods.

        Parameters
        ----------
        data : optional
            Rows with values of the targets, in any form that :func:`rnnsim.run` takes; by default the
            test part of the data of the run.
        params : NamedTuple of arrays, optional
            As for :meth:`predict`.
        level : float
            The share of truths that intervals are to cover.

        Returns
        -------
        Report
            By column and horizon, in the column's unit; ``text()``, ``csv()``, ``markdown()`` and
            ``as_dict()`` give it in these forms.

        Raises
        ------
        UnknownName
            If the data lack a column.
        RnnsimError
            If the run is of another task, the data have no values of the targets, or an argument is
            invalid.
        """
        return self.forecaster(params).report(data, level)

    def forecaster(self, params: Params | None = None) -> Forecaster:
        """What forecasts the user's own data.

        Parameters
        ----------
        params : NamedTuple of arrays, optional
            As for :meth:`predict`: by default those that did best on validation data, if they are kept.
            How far others are to be followed, and their intervals, is found again on the validation
            part; where the data are gone, they are followed wholly and have no intervals.

        Raises
        ------
        RnnsimError
            If the run is of another task, or the parameters are not those of its network.
        """
        experiment = self.experiment
        if params is None:
            params = self.params if self.best is None else self.best.params
            return Forecaster(experiment, params, self.calibration, self.said)
        found = Forecaster(experiment, experiment.network.views(experiment.network.pack(params)), None)
        with suppress(RnnsimError):
            found.calibration = found.validated()
        return found

    # --- drawn ---

    def plot(
        self, path: str | Path | None = None, *, behaviour: bool = False, what: str = "curve",
        data: Any = None,
    ) -> Any:  # fmt: skip
        """Draw the learning curve or another figure, and save it if ``path`` is given.

        Parameters
        ----------
        path : path, optional
        behaviour : bool
            Whether to draw what the trained network does instead (:meth:`plot_behaviour`).
        what : "curve", "behaviour", "forecast", "errors" or "confusion"
            The last three are of forecasts of the user's own data: them beside the truth, their errors
            by horizon beside those of simple methods, and which class was held to be which.
        data : optional
            What to forecast from; by default the test part of the data of the run.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RnnsimError
            If matplotlib is not installed, the file cannot be written, or there is no such figure.
        """
        wanted = "behaviour" if checks.boolean("behaviour", behaviour) else what
        if checks.known_name("figure", wanted, ("curve", "behaviour", *FIGURES)) in FIGURES:
            return self.forecaster().draw(wanted, data, path)
        if data is not None:
            raise RnnsimError(f"data is for the figures {', '.join(FIGURES)}; that of the {wanted} "
                              "takes none")  # fmt: skip
        if wanted == "behaviour":
            return self.plot_behaviour(path)
        return figures.learning_curve(self.experiment, self.metrics, self.solved_at, path)

    def plot_behaviour(self, path: str | Path | None = None, steps: int = 60) -> Any:
        """Draw what the trained network does on held-out data, and save it if ``path`` is given.

        The inputs are at the top, below them the state over time as an image (the fast weights of a
        fast-weight network), and at the bottom outputs and targets.

        Parameters
        ----------
        path : path, optional
            Where to save the figure.
        steps : int
            Number of steps to draw.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.behaviour(self.experiment, self.params, self.steps, path, shown=steps)
