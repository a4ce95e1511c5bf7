"""What all figures have in common: matplotlib, the file that they are drawn into, and their style.

Matplotlib (the extra ``plot``) is imported only when something is drawn.

Figures are looked at in print and by the colour-blind. Lines have the colours of M. Okabe and K. Ito
(*Color universal design*, 2008), and differ in style or markers too. Values of one sign are shown by
viridis, whose lightness grows evenly, and values of both signs by PuOr about 0. Text stays text in a
file that can hold it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks, files
from rnnsim.data.forecasting import called
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.runs.telling_apart import Told
from rnnsim.typing import Array

FORMATS = ("png", "svg", "pdf")
MOST_SHOWN = 10_000  # steps: more are not told apart
AS_TEXT: Any = {"svg.fonttype": "none", "pdf.fonttype": 42}  # text can be searched, copied and edited

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)), (0, (1, 3)))
MARKERS = "osD^vPX*"
MAIN, OTHER, EVENT, BESIDE = COLOURS[2], COLOURS[1], COLOURS[3], "0.45"
SEQUENTIAL, DIVERGING = "viridis", "PuOr"
SMALL, MEDIUM = "small", "medium"
MOST_NAMED = 40  # rows of an image: the names of more would overlap
HAIR = "\u200a"  # the narrowest space
WIDE = 10  # how many times the least value the greatest is, where a scale is logarithmic


# --- the file -----------------------------------------------------------------------------------------


def figure_type(path: str | Path | None = None) -> Any:
    """Return matplotlib's ``Figure`` class, after checking that a figure can be written to ``path``.

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, the format is not supported, or the folder does not exist.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RnnsimError("figures need matplotlib: pip install 'rnnsim[plot]'") from None
    if path is not None:
        file, shown = checks.path("the file of a figure", path), shown_path(path)
        if file.suffix.lower().lstrip(".") not in FORMATS:
            raise RnnsimError(f"cannot draw into {shown}: the file must end in .{', .'.join(FORMATS)}")
        folder = file.parent
        if not folder.is_dir():
            raise RnnsimError(f"cannot draw into {shown}: there is no folder {shown_path(folder)}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise RnnsimError(f"cannot draw into {shown}: {shown_path(folder)} cannot be written to")
    return Figure


def saved(figure: Any, path: str | Path | None) -> Any:
    """Save a figure if a path is given, and return it; an earlier file is replaced as a whole."""
    if path is not None:
        from matplotlib import rc_context

        drawn = io.BytesIO()
        with rc_context(AS_TEXT):
            figure.savefig(drawn, dpi=150, format=Path(path).suffix.lower().lstrip("."))
        try:
            files.replace(Path(path), drawn.getvalue())
        except OSError as error:
            why = error.strerror or error
            raise RnnsimError(f"cannot draw into {shown_path(path)}: {why}") from None
    return figure


# --- text ---------------------------------------------------------------------------------------------


def as_text(name: str) -> str:
    """A name as matplotlib takes it.

    It would read mathematics between two dollars, and leave out of legends what begins with an
    underscore.
    """
    return (HAIR if name.startswith("_") else "") + name.replace("$", r"\$")


def title_of(*runs: Told) -> str:
    """What a figure of runs is of: rule and task, as far as they have them in common, and steps."""
    rules = {run.experiment.rule.name for run in runs}
    tasks = {called(run.experiment.task) for run in runs}
    what = f"{rules.pop()} on " if len(rules) == 1 and len(tasks) == 1 else ""
    where = tasks.pop() if len(tasks) == 1 else f"{len(tasks)} tasks"
    number = "" if len(runs) == 1 else f"{len(runs)} runs of up to "
    return as_text(f"{what}{where}, {number}{max(run.steps for run in runs):,} steps")


# --- lines --------------------------------------------------------------------------------------------


def look(i: int, *names: str) -> dict[str, Any]:
    """How the i-th of several lines looks: its ``color``, and its line style ``ls`` or ``marker``.

    Colours, styles and markers are of different numbers, so that pairs of them do not come again soon.
    """
    every = {"color": COLOURS, "ls": STYLES, "marker": MARKERS}
    return {name: every[name][i % len(every[name])] for name in ("color", *names)}


def draw_spread(axes: Any, places: Array, spread: Array, **how: Any) -> Any:
    """Draw a median as a line, and a band between the quartiles; give the line.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    places : (P,) array
    spread : (3, P) array
        The lower quartile, the median, the upper quartile; they may be infinite. Such a median is not
        drawn, and such an upper quartile up to the largest of the numbers.
    **how
        Of the line, with its ``color``.
    """
    low, middle, high = (np.where(np.isfinite(values), values, np.nan) for values in spread)
    finite = spread[np.isfinite(spread)]
    high[np.isposinf(spread[2])] = finite.max() if finite.size else np.nan
    (line,) = axes.plot(places, middle, **how)
    axes.fill_between(places, low, high, color=how["color"], alpha=0.15, lw=0)
    return line


# --- axes ---------------------------------------------------------------------------------------------


def scale_by(axes: Any, values: Iterable[Array]) -> None:
    """Make the vertical scale logarithmic where all values are positive and differ by much."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    every = np.concatenate([np.zeros(0), *values])
    every = every[np.isfinite(every)]
    if not every.size or every.min() <= 0 or every.max() < WIDE * every.min():
        return
    axes.set_yscale("log")
    if every.max() < WIDE * WIDE * every.min():  # one power of ten would be little to read it by
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def scale_of_lines(axes: Any) -> None:
    """Make the vertical scale logarithmic by the lines that are drawn."""
    scale_by(axes, [np.asarray(line.get_ydata(), float) for line in axes.lines])


def draw_image(axes: Any, values: Array, names: Sequence[str], sequential: str = SEQUENTIAL) -> Any:
    """Draw values (T, n) as an image over time, with row names if there are not too many."""
    image = axes.imshow(values.T, aspect="auto", **colours_of(values, sequential))
    if len(names) <= MOST_NAMED:
        size = "x-small" if len(names) > 12 else SMALL
        axes.set_yticks(range(len(names)), [as_text(name) for name in names], fontsize=size)
    return image


def colours_of(values: Array, sequential: str = SEQUENTIAL) -> dict[str, Any]:
    """Arguments of ``imshow``: a diverging map about 0 where a value is negative, else a sequential one.

    Many cells to a pixel are averaged, few are drawn with sharp edges.
    """
    given: dict[str, Any] = {"cmap": sequential, "interpolation": "antialiased"}
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() < 0:
        most = float(abs(finite).max())
        given |= {"cmap": DIVERGING, "vmin": -most, "vmax": most}
    return given
