"""What a run prints while it works: a note on compilation, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rnnsim.data.forecasting import called
from rnnsim.data.learnt_error import learnt_error
from rnnsim.runs.bars import bar
from rnnsim.training.task_training import TaskTraining


@contextmanager
def compilation_announced() -> Iterator[None]:
    """Print, once, that something is being compiled, and whether the next run compiles it again."""
    from rnnsim.compiler import kernel_files, listeners
    from rnnsim.numerics import threads

    def announce(owner: str, cacheable: bool) -> None:
        if owner == threads.OWNER:
            return
        if not announced:
            then = "the next run finds it done"
            if not cacheable:
                then = "so will the next run: its machine code holds for one process alone"
            elif not kernel_files.can_write():
                then = f"so will the next run: nothing can be kept in {kernel_files.folder()}"
            print(f"compiling {owner}, which takes some seconds; {then}", file=sys.stderr)
        announced.append(owner)

    announced: list[str] = []
    listeners.append(announce)
    try:
        yield
    finally:
        listeners.remove(announce)


@contextmanager
def progress_bar(trainer: TaskTraining, shown: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that updates the bar to the trainer's current step."""
    experiment, curve = trainer.experiment, trainer.curve
    name = f"{experiment.rule.name} on {called(experiment.task)}"
    error = learnt_error(experiment.task, experiment.network)

    def said() -> str:
        """The loss and the score of late; of the user's numbers the error."""
        last = (trainer.step - 1) // int(curve.every[0])
        near = slice(max(0, last - 4), last + 1)  # a mean of a few points flickers less
        if not curve.targets[near].sum() > 0:
            return ""
        loss = curve.loss[near].sum() / curve.weight[near].sum()
        if error is not None:
            return error.brief(loss)
        score = curve.score[near].sum() / curve.targets[near].sum()
        return f"loss {loss:.4g}, {experiment.task.score} {score:.3g}"

    with bar(experiment.steps, name, "steps", shown=shown, done=trainer.step) as show:
        yield lambda: show(trainer.step, said()) if shown else None
