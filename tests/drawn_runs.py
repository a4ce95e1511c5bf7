"""Runs that are made to be drawn, and what is drawn read back from a figure."""

from __future__ import annotations

from typing import Any

import naive
import naive_gru
import numpy as np
from task_streams import draw

import rnnsim

SMALL: dict[str, Any] = {"hidden": 4, "steps": 60, "stop": False}


def train(rule: str = "rtrl", task: str = "delayed-xor", **choices: Any) -> rnnsim.Run:
    return rnnsim.run(rule, task, **{**SMALL, **choices})


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def legend(figure: Any) -> list[str]:
    (shown,) = figure.legends
    return [text.get_text() for text in shown.get_texts()]


def held_out(run: rnnsim.Run, steps: int, seed: int | None = None) -> Any:
    rows = max(2 * steps, run.experiment.task.episode_length or 0)
    seed = run.experiment.seed if seed is None else seed
    return draw(run.experiment.task, rows, 1, [seed, 2], plain=True, held_out=True)


def states_again(run: rnnsim.Run, steps: int, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The states of the last steps of held-out data in plain NumPy, and where they begin anew."""
    stream, params, network = held_out(run, steps, seed), run.params._asdict(), run.experiment.network
    zeros = np.zeros((1, network.n_state))
    data = naive.Data(stream.inputs, stream.targets, stream.mask, stream.resets, zeros, zeros)
    if network.kind == "gru":
        states = naive_gru.run(params, data)
    else:
        states = np.zeros((len(stream.inputs), 1, network.n_state))
        x = zeros[0]
        for t, u in enumerate(stream.inputs[:, 0]):
            x = zeros[0] if stream.resets[t, 0] else x
            a = params["W"] @ x + params["U"] @ u + params["b"]
            x = states[t, 0] = (1 - network.leak) * x + network.leak * np.tanh(a)
    begins = stream.resets[-steps:, 0].copy()
    begins[0] = True
    return states[-steps:, 0], begins


def by_title(figure: Any) -> dict[str, Any]:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
