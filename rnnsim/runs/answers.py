"""What a trained network answers, how good that is, and figures of it: what a run can be asked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnsim import checks
from rnnsim.data import intervals
from rnnsim.data.calibration import Calibration
from rnnsim.data.forecasting import Forecasting
from rnnsim.errors import RnnsimError, reports_memory, shown
from rnnsim.runs import behaviour_figures, drawing
from rnnsim.runs.forecast_reports import Report
from rnnsim.runs.forecasts import Forecaster
from rnnsim.training.best import Best
from rnnsim.training.experiment import Experiment
from rnnsim.training.forward import simulate
from rnnsim.training.monitors import Recorded
from rnnsim.typing import Array, Inputs, Params


class Answers:
    """What a run can be asked; its attributes are those of :class:`rnnsim.Run`."""

    experiment: Experiment
    params: Params
    solved_at: int | None
    steps: int
    metrics: dict[str, Array]
    best: Best | None
    recorded: Recorded | None
    folder: Path | None
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
        self, path: str | Path | None = None, *, behaviour: bool = False, what: str = drawing.CURVE,
        data: Any = None, beside: Any = (), steps: int | None = None,
    ) -> Any:  # fmt: skip
        """Draw the learning curve or another figure, and save it if ``path`` is given.

        Parameters
        ----------
        path : path, optional
            A file that ends in .png, .svg or .pdf.
        behaviour : bool
            The same as ``what="behaviour"``.
        what : str
            Of the learning: ``curve``, loss, score and monitors over the steps; ``gradients``, the norms
            of the gradient over the steps (of runs with ``monitor="grad-norm"``).
            Of the network: ``weights``, the matrices with their distributions, eigenvalues and singular
            values.
            Of what it does on held-out data: ``behaviour``, inputs, hidden activity (or fast weights)
            as an image, outputs and targets; ``trajectories``, the path of the state in the plane of
            its first two principal components; ``fast-weights``, these over time as lines.
            Of forecasts of the user's own data: ``forecast``, them beside the truth; ``errors``, by
            horizon beside those of simple methods; ``confusion``, which class was held to be which.
        data : optional
            What to forecast from; by default the test part of the data of the run.
        beside : Run or sequence of Run
            Other runs, which are drawn in the same figure: their ``curve``, where runs that differ by
            their seed alone are one line, their median, in a band between the quartiles; ``gradients``
            likewise; ``trajectories`` in the plane that fits the states of all.
        steps : int, optional
            Steps of held-out data to draw; by default 60, or 200 of ``trajectories``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RnnsimError
            If matplotlib is not installed, the file cannot be written, there is no such figure, or it
            is not one of this run.
        """
        wanted = "behaviour" if checks.boolean("behaviour", behaviour) else what
        others = [beside] if isinstance(beside, Answers) else beside
        if not isinstance(others, list | tuple) or not all(isinstance(o, Answers) for o in others):
            raise RnnsimError(f"beside is a run, or a list of runs, not {shown(beside)}")
        return drawing.draw(self, wanted, path, data=data, beside=others, steps=steps)

    def plot_behaviour(
        self, path: str | Path | None = None, steps: int = behaviour_figures.STEPS
    ) -> Any:
        """Draw what the trained network does on held-out data: ``plot`` with ``what="behaviour"``.

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
        return behaviour_figures.behaviour(self, path, steps=steps)
