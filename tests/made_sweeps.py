"""Sweeps of which nothing was carried out: made cells, and what is said to have come of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import Cell, Outcome, Store

CRITERION = "error within 0.2 for 100 steps in a row"
CHOICE = {
    "rates": [0.001, 0.01, 0.1], "seeds": 2, "by": "median validation loss", "solved": [0, 0, 0],
    "solved_at": [None] * 3, "validation_loss": [3.0, 1.0, 2.0], "at_edge": False,
}  # fmt: skip


def cell(place: int = 0, rule: str = "one", task: str = "task", **given: Any) -> Cell:
    """A cell of the results, where nothing else is said."""
    said: dict[str, Any] = {
        "role": "result", "label": "", "varied": {}, "learning_rate": 0.1, "steps": 1000,
        "criterion": CRITERION, "published": None, "choice": None, "experiment": {}, "score": "error",
    }  # fmt: skip
    return Cell(id=0, place=place, rule=rule, task=task, **{**said, **given})


def solved(at: int, loss: float = 0.1, **given: Any) -> dict[str, Any]:
    return {"outcome": "solved", "solved_at": at, "loss": loss, **given}


def complete(loss: float | None = 0.5, **given: Any) -> dict[str, Any]:
    return {"outcome": "complete", "loss": loss, **given}


DIVERGED: dict[str, Any] = {"outcome": "diverged", "error": "a loss is not finite"}
FAILED: dict[str, Any] = {"outcome": "failed", "error": "MemoryError: none is left"}
REFUSED: dict[str, Any] = {"outcome": "refused", "error": "hidden is 0; it must be at least 1"}

Given = Mapping[str, Any]


def made(*cells: tuple[Cell, Sequence[Given] | Mapping[int, Given]], path: Path | None = None) -> Sweep:
    """A sweep of cells with what came of their runs, of the seeds 0, 1, ... or by seed."""
    store = Store(path)
    ids = store.add_cells([(f"key {i}", each) for i, (each, _) in enumerate(cells)])
    for id, (_, runs) in zip(ids, cells):
        by_seed = runs if isinstance(runs, Mapping) else dict(enumerate(runs))
        store.add(Outcome(id, seed, **given) for seed, given in by_seed.items())
    return Sweep(store)


def curve(*loss: float, every: int = 10) -> bytes:
    """A learning curve as it is kept."""
    steps = np.arange(1, len(loss) + 1) * every
    return save({"step": steps, "loss": np.array(loss), "error": np.array(loss)})
