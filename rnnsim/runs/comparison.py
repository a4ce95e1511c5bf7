"""The result of a comparison of rules: alignments, ratios of norms, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, files
from rnnsim.data.forecasting import called
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.runs import comparison_figures, html_tables
from rnnsim.runs.plain_data import as_json, plain
from rnnsim.runs.seeds import table
from rnnsim.training.experiment import Experiment
from rnnsim.training.following import mean_over
from rnnsim.typing import Array

FIGURE = (880, 616)  # pixels in a notebook
LAST = 10  # the loss at the end is the mean of the last tenth


@dataclass(frozen=True)
class Comparison:
    """What a comparison of R rules found, for the seeds 0, 1, ....

    Attributes
    ----------
    experiment : Experiment
        The experiment of the rule that leads, the first, with seed 0.
    rules : tuple of str
        The rules, with their options where these are not the defaults.
    step : (points,) array
        The last step of each point over time; values are means over its steps.
    alignment : (seeds, points, R, R) array
        g_i . g_j / (|g_i| |g_j|) of the gradients of rules i and j (theory.md 5), over the parameters
        that rules write: those that the network itself writes (V and c of a linear readout) are left
        out. nan where no window counted; windows in which one of the two is zero do not.
    norm_ratio : (seeds, points, R, R) array
        |g_i| / |g_j|, a geometric mean over the windows.
    losses : (seeds, points, R) array
        The loss per target when each rule leads, with the settings of the first; nan where there was no
        target, and after it diverged.
    held_out : (seeds, R) array
        The final loss per target on held-out data; nan if the run diverged.
    solved_at : (seeds, R) array
        The step at which each solved the task when it led; nan if never. (The runs go on.)
    seconds_per_step : (R,) array
        Time per step when each leads, excluding compilation.
    not_finite : (R,) int array
        The number of windows in which the gradient of a rule was not finite.
    """

    experiment: Experiment
    rules: tuple[str, ...]
    step: Array = field(repr=False)
    alignment: Array = field(repr=False)
    norm_ratio: Array = field(repr=False)
    losses: Array = field(repr=False)
    held_out: Array = field(repr=False)
    solved_at: Array = field(repr=False)
    seconds_per_step: Array = field(repr=False)
    not_finite: Array = field(repr=False)

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len(self.held_out)

    @property
    def mean_alignment(self) -> Array:
        """The alignment of each pair (R, R), a mean over seeds and time."""
        return mean_over(self.alignment, (0, 1))

    @property
    def mean_norm_ratio(self) -> Array:
        """The ratio of norms of each pair (R, R), a geometric mean over seeds and time."""
        return np.asarray(np.exp(mean_over(np.log(self.norm_ratio), (0, 1))))

    @property
    def last_loss(self) -> Array:
        """The loss of each rule (R,) when it leads: a mean over the seeds and the last tenth."""
        return mean_over(self.losses[:, -max(1, len(self.step) // LAST) :], (0, 1))

    def summary(self) -> str:
        """Format the result: two matrices, and how each rule learns."""
        names = self.rules
        parts = [
            self.title,
            _matrix("alignment", names, self.mean_alignment, "{:.3f}"),
            _matrix("norm over norm", names, self.mean_norm_ratio, "{:.3g}"),
            table([(name, self._cells(i)) for i, name in enumerate(names)], "when it leads"),
        ]
        for name, count in zip(names, self.not_finite):
            if count:
                parts.append(f"the gradient of {name} was not finite in {count:,} windows")
        return "\n\n".join(parts)

    @property
    def title(self) -> str:
        """What was compared, in a line."""
        experiment, names = self.experiment, self.rules
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        return (f"{', '.join(names)} on {called(experiment.task)}, {seeds}, {experiment.steps:,} steps "
                f"in windows of {experiment.window}; {names[0]} leads")  # fmt: skip

    def _repr_html_(self) -> str:
        """What a notebook shows: how each learns, and the figure."""
        rows = [(name, self._cells(i)) for i, name in enumerate(self.rules)]
        learns = html_tables.grid(self.title, rows, "when it leads")
        return learns + html_tables.picture(self.plot, "comparison", FIGURE)

    def _cells(self, i: int) -> dict[str, str]:
        """The row of a rule: how it learns when it leads."""
        solved = int(np.isfinite(self.solved_at[:, i]).sum())
        diverged = int(np.isnan(self.held_out[:, i]).sum())
        return {
            "loss, last tenth": _number(self.last_loss[i]),
            "held-out loss": _number(float(mean_over(self.held_out[:, i], 0))),
            "solved": f"{solved} of {self.seeds}",
            "diverged": str(diverged or ""),
            "us per step": f"{1e6 * self.seconds_per_step[i]:,.1f}",
        }

    def as_dict(self) -> dict[str, Any]:
        """The result in lists and numbers: None where there is no number.

        Returns
        -------
        dict
            ``rules``, ``task``, ``steps``, ``window``, ``seeds``; ``baseline`` and ``floors``, losses to
            compare with; and the attributes and means of this class by name. Alignments and ratios over
            time are means over the seeds.
        """
        experiment = self.experiment
        found = {
            "mean_alignment": self.mean_alignment,
            "mean_norm_ratio": self.mean_norm_ratio,
            "step": self.step,
            "alignment": mean_over(self.alignment, 0),
            "norm_ratio": np.exp(mean_over(np.log(self.norm_ratio), 0)),
            "losses": self.losses,
            "held_out": self.held_out,
            "solved_at": self.solved_at,
            "seconds_per_step": self.seconds_per_step,
            "not_finite": self.not_finite,
        }
        return {
            "rules": list(self.rules),
            "task": experiment.task.name,
            "steps": experiment.steps,
            "window": experiment.window,
            "seeds": self.seeds,
            "baseline": experiment.task.baseline,
            "floors": dict(experiment.task.floors),
            **{name: plain(array) for name, array in found.items()},
        }

    def save(self, path: str | Path) -> Path:
        """Write :meth:`as_dict` into a JSON file; an earlier file is replaced as a whole.

        Raises
        ------
        RnnsimError
            If it cannot be written.
        """
        file = check_json(path)
        try:
            files.replace(file, as_json(self.as_dict()).encode())
        except OSError as error:
            raise RnnsimError(f"cannot save the comparison in {shown_path(path)}: "
                              f"{error.strerror or error}") from None  # fmt: skip
        return file

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the result, and save the figure if ``path`` is given.

        The matrix of alignments; the alignment with the rule that leads and the ratio of norms over
        time; and the learning curves when each leads, with the losses that the task says are the least.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RnnsimError
            If matplotlib is not installed, or the file cannot be written.
        """
        return comparison_figures.draw(
            self.experiment, self.rules, self.step, self.alignment, self.norm_ratio, self.losses, path
        )


def check_json(path: str | Path) -> Path:
    """Check the file for a comparison, before anything is compared.

    Raises
    ------
    RnnsimError
        If its name does not end in ``.json``, or its folder does not exist.
    """
    file = checks.path("the file of a comparison", path)
    if file.suffix.lower() != ".json" or not file.parent.is_dir():
        raise RnnsimError(f"cannot save the comparison in {shown_path(path)}: the file must end in "
                          ".json, and be in a folder that exists")  # fmt: skip
    return file


def _matrix(what: str, names: Sequence[str], values: Array, form: str) -> str:
    """Format values (R, R), of the rule of the row and that of the column, as a table."""
    rows = [
        (name, {other: _number(value, form) for other, value in zip(names, row)})
        for name, row in zip(names, values)
    ]
    return table(rows, what)


def _number(value: float, form: str = "{:.4g}") -> str:
    return form.format(value) if math.isfinite(value) else "none"
