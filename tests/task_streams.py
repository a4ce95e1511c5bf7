"""Tasks made by name, rows drawn from them, and their criterion asked about outputs."""

from __future__ import annotations

from typing import Any

from rnnsim.registry import installed
from rnnsim.task import Task
from rnnsim.testing.tasks import draw, first_rows, met_at

__all__ = ["draw", "first_rows", "make", "met_at"]


def make(name: str, options: dict[str, dict[str, Any]]) -> Task:
    task: Task = installed().tasks[name].thing.from_options(options.get(name, {}))
    return task
