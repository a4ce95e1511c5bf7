"""Evaluation of a network on data that it does not learn from: validation data and test data.

By validation data it is chosen what is kept and when a run ends; nothing is chosen by test data, which
are those of the final evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.criterion import SCORES
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.fixed_points import settle_rows
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Settler
from rnnsim.task import Task
from rnnsim.typing import Array, Integers, Kernel, Params, State, Trajectory

# runs a network over all rows of a trajectory: (params, state, stream, trajectory) -> None
ForwardPass = Callable[[Params, State, Stream, Trajectory], None]


TEST, VALIDATION = 2, 4  # parts of the data, by the seed of their draws beside that of a run


class Evaluation(NamedTuple):
    """Loss and score, averaged over the targets."""

    loss: float
    score: float
    spectral_radius: float | None = None  # the largest, where the task reads steady states


NOT_EVALUATED = Evaluation(math.nan, math.nan)


def evaluate(
    network: Network,
    params: Params,
    task: Task,
    seed: int,
    score: str,
    forward_pass: ForwardPass,
    part: int = TEST,
) -> Evaluation:
    """Evaluate a network on a task's held-out data, starting from its initial state.

    Parameters
    ----------
    network : Network
    params : NamedTuple of arrays
    task : Task
    seed : int
        Seed of the held-out data, where they are random.
    score : str
        A name of :data:`rnnsim.criterion.SCORES`.
    forward_pass : ForwardPass
        Runs the network over the data.
    part : int
        TEST, the data of the final evaluation, or VALIDATION.

    Returns
    -------
    Evaluation
        Loss and score per target; nan where the part has no rows.

    Raises
    ------
    NoSteadyState
        If the task reads steady states and the network does not converge to one.
    """
    shape = shape_of(task, part)
    if not shape[0]:
        return NOT_EVALUATED
    stream, trajectory = run_held_out(network, params, task, seed, *shape, forward_pass, part)
    filled, radius = len(trajectory.states), None
    if task.steady:
        with shared_work():
            radius = spectral_radius(
                network, network.kernel_params(network.pack(params)), trajectory,
                stream.mask[:filled] != 0,
            )  # fmt: skip
    mask = stream.mask[:filled]
    rows, sequences = np.nonzero(mask > 0)
    scores = np.empty(len(rows))
    with np.errstate(all="ignore"):  # outputs may overflow, and there may be no targets
        compiled(scores_kernel(score), score)(stream, rows, sequences, scores)
        loss, score = stream.losses[:filled].sum() / mask.sum(), scores.sum() / np.float64(scores.size)
    return Evaluation(float(loss), float(score), radius)


@cache
def scores_kernel(score: str) -> Kernel:
    """Make the kernel that scores targets, which are named by their rows and sequences."""
    score_of = SCORES[score]

    @kernel(allocates=False)
    def scores(stream: Stream, rows: Integers, sequences: Integers, out: Array) -> None:
        for i in range(len(out)):
            out[i] = score_of(stream, rows[i], sequences[i])

    return scores


def run_held_out(
    network: Network,
    params: Params,
    task: Task,
    seed: int,
    rows: int,
    batch: int,
    forward_pass: ForwardPass,
    part: int = TEST,
) -> tuple[Stream, Trajectory]:
    """Run a network over a task's held-out data, starting from its initial state.

    Parameters
    ----------
    rows, batch : int
        How many steps (or as many whole episodes as fit) of how many sequences.
    network, params, task, seed, forward_pass, part
        As for :func:`evaluate`.

    Returns
    -------
    Stream, Trajectory
        The data with the network's outputs and losses, and its states.
    """
    stream, filled = held_out_data(network, task, seed, rows, batch, part)
    kernel_params, state = network.kernel_params(network.pack(params)), network.state(batch)
    with shared_work():
        trajectory = network.trajectory(filled, batch)
        forward_pass(kernel_params, state, stream, trajectory)
    return stream, trajectory


def shape_of(task: Task, part: int) -> tuple[int, int]:
    """The shape (T, B) of a part of the data that a run does not learn from."""
    return task.validation_shape() if part == VALIDATION else task.held_out_shape()


def held_out_data(
    network: Network, task: Task, seed: int, rows: int, batch: int, part: int
) -> tuple[Stream, int]:
    """Draw such data of a task: a stream, and how many of its rows are filled."""
    stream = task.allocate(rows, batch, network.dtype)
    rng = np.random.default_rng([seed, part])
    source = (
        task.validation_source(rng, batch, network.dtype)
        if part == VALIDATION
        else task.source(rng, batch, network.dtype, held_out=True)
    )
    with shared_work():
        return stream, compiled(task.fill(), task.name)(source, stream, rows)


def plain_forward(network: Network, settler: Settler | None = None) -> ForwardPass:
    """Make a forward pass without a learning rule: by time steps, or to steady states by a settler."""

    def forward_pass(params: Params, state: State, stream: Stream, trajectory: Trajectory) -> None:
        if settler is not None:
            settle_rows(settler, network, params, stream, state, trajectory)
        else:
            forward = compiled(network.forward, network.kind)
            forward(params, state, stream, 0, trajectory, 0, len(trajectory.states))

    return forward_pass
