"""The figure of a network's weights: each matrix, its distribution, and what it does to a vector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.network import Network
from rnnsim.runs.behaviour_figures import FAST, Trained
from rnnsim.runs.figures import (
    BESIDE,
    MAIN,
    MEDIUM,
    SMALL,
    as_text,
    colours_of,
    figure_type,
    look,
    saved,
    scale_by,
    title_of,
)
from rnnsim.typing import Array, Params

ACROSS = 4  # matrices beside one another
PANEL = 2.5  # inches
MOST_TICKS = 5
LEAST = 1e-12  # of the largest: singular values below are 0 but for rounding


def weights(run: Trained, path: str | Path | None = None) -> Any:
    """Draw the weights of a trained network.

    Each matrix is an image, with its distribution below. At the bottom are the biases, the eigenvalues
    of the matrices by which the state acts on itself, and the singular values of all. With a leak
    a < 1, the eigenvalues of (1 - a) I + a W are drawn too: the Jacobian where the slopes are 1.

    Parameters
    ----------
    run : Trained
    path : path, optional
        Where to save the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
    network, arrays = run.experiment.network, run.params._asdict()
    matrices = {name: array for name, array in arrays.items() if array.ndim == 2 and array.size}
    vectors = {name: array for name, array in arrays.items() if array.ndim == 1 and array.size}
    spectra = spectra_of(network, run.params)
    panels = [(draw, of) for draw, of in ((_draw_vectors, vectors), (_draw_spectra, spectra),
                                          (_draw_singular_values, matrices)) if of]  # fmt: skip
    across = min(len(matrices), ACROSS)
    down = -(-len(matrices) // across)
    width = PANEL * max(across, len(panels), 2)
    figure = Figure(figsize=(width, PANEL * (1.6 * down + 1.5)), layout="constrained")
    above, below = figure.add_gridspec(2, 1, height_ratios=[1.6 * down, 1.5])
    _draw_matrices(figure, above, matrices, across, down)
    for (draw, of), place in zip(panels, below.subgridspec(1, len(panels))):
        axes = figure.add_subplot(place)
        draw(axes, of)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), fontsize=SMALL, frameon=False,
                    ncols=4 if max(map(len, of)) < 6 else 1, columnspacing=1, handletextpad=0.4,
                    handlelength=1.5)  # fmt: skip
    figure.suptitle(title_of(run), fontsize=MEDIUM)
    return saved(figure, path)


def spectra_of(network: Network, params: Params) -> dict[str, Array]:
    """The eigenvalues of the matrices by which the state acts on itself; with a leak, of both matrices.

    A fast-weight network has none: its state acts on itself number by number.
    """
    if network.kind == FAST:
        return {}
    n, leak, found = network.n_state, getattr(network, "leak", 1.0), dict[str, Array]()
    for name, shape in network.shapes.items():
        if shape == (n, n):
            matrix = getattr(params, name).astype(float)
            found[name] = np.linalg.eigvals(matrix)
            if leak != 1:
                leaky = (1 - leak) * np.eye(n) + leak * matrix
                found[f"{1 - leak:.3g} I + {leak:.3g} {name}"] = np.linalg.eigvals(leaky)
    return found


def whole_numbers(axis: Any, n: int, first: int = 0) -> None:
    """Let the ticks of an axis of n places stand at whole numbers."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    few = FixedLocator(range(first, first + n)) if n <= MOST_TICKS else None
    axis.set_major_locator(few or MaxNLocator(nbins=MOST_TICKS, integer=True))


def _draw_matrices(
    figure: Any, place: Any, matrices: Mapping[str, Array], across: int, down: int
) -> None:
    """Draw each matrix as an image, and its distribution below."""
    grid = place.subgridspec(2 * down, across, height_ratios=[1, 0.6] * down)
    for i, (name, matrix) in enumerate(matrices.items()):
        row, column = 2 * (i // across), i % across
        (rows, columns), axes = matrix.shape, figure.add_subplot(grid[row, column])
        image = axes.imshow(matrix, aspect="auto", **colours_of(matrix))
        figure.colorbar(image, ax=axes, aspect=12, pad=0.02)
        whole_numbers(axes.xaxis, columns)
        whole_numbers(axes.yaxis, rows)
        axes.set_title(as_text(f"{name} ({rows} by {columns})"), fontsize=MEDIUM)
        axes.set_xlabel("from", fontsize=SMALL)
        axes.set_ylabel("to", fontsize=SMALL)
        axes = figure.add_subplot(grid[row + 1, column])
        counts, _, _ = axes.hist(matrix.ravel(), bins=min(30, max(5, int(matrix.size**0.5))), color=MAIN)
        whole_numbers(axes.yaxis, int(max(counts)) + 1)
        axes.axvline(0, color=BESIDE, lw=0.8)
        axes.set_xlabel("weight", fontsize=SMALL)
        axes.set_ylabel("number", fontsize=SMALL)


def _draw_vectors(axes: Any, vectors: Mapping[str, Array]) -> None:
    """Draw biases by unit."""
    for i, (name, vector) in enumerate(vectors.items()):
        axes.plot(np.arange(len(vector)), vector, ls="none", ms=4, label=as_text(name),
                  **look(i, "marker"))  # fmt: skip
    axes.axhline(0, color=BESIDE, lw=0.8, zorder=0)
    whole_numbers(axes.xaxis, max(map(len, vectors.values())))
    axes.set(xlabel="unit", ylabel="bias")
    axes.set_title("biases", fontsize=MEDIUM)


def _draw_spectra(axes: Any, spectra: Mapping[str, Array]) -> None:
    """Draw eigenvalues in the complex plane, with the unit circle."""
    angles = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angles), np.sin(angles), color=BESIDE, lw=0.8)
    for i, (name, values) in enumerate(spectra.items()):
        axes.plot(values.real, values.imag, ls="none", ms=4, mfc="none", label=as_text(name),
                  **look(i, "marker"))  # fmt: skip
    axes.set(xlabel="real part", ylabel="imaginary part")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("eigenvalues", fontsize=MEDIUM)


def _draw_singular_values(axes: Any, matrices: Mapping[str, Array]) -> None:
    """Draw the singular values of each matrix, the largest first."""
    every = []
    for i, (name, matrix) in enumerate(matrices.items()):
        values = np.linalg.svd(matrix.astype(float), compute_uv=False)
        values = values[values > LEAST * values[0]]
        axes.plot(np.arange(1, len(values) + 1), values, ms=3, lw=1, label=as_text(name),
                  **look(i, "ls", "marker"))  # fmt: skip
        every.append(values)
    scale_by(axes, every)
    whole_numbers(axes.xaxis, max(map(len, every)), first=1)
    axes.set(xlabel="number", ylabel="singular value")
    axes.set_title("singular values", fontsize=MEDIUM)
