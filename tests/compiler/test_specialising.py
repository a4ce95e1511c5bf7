"""Kernels whose compiler knows the sizes: they do the same, and only for those sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from click.testing import CliRunner

import rnnsim
from rnnsim.arrays import constant
from rnnsim.cli import main
from rnnsim.compiler import compiled
from rnnsim.compiler.fingerprint import fingerprint
from rnnsim.compiler.specialising import LONGEST, known_about, specialise
from rnnsim.kernels import kernel
from rnnsim.runs.compilation import suggested_tasks
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

needs_jit = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="uncompiled, nothing is known beforehand"
)


class Pair(NamedTuple):
    numbers: Any
    factor: int


def total_of(known: Any) -> Any:
    tailored = specialise(known)

    @kernel(inlines_all=True)
    def total(pair: Pair) -> float:
        numbers, factor = tailored(pair)
        found = 0.0
        for i in range(numbers.size):
            found += numbers[i] * factor
        return found

    return total


# --- what is known ---------------------------------------------------------------------------------


def test_shapes_are_known_and_what_is_read_only() -> None:
    fixed = constant(np.arange(3))
    found = known_about((np.zeros((2, 0)), fixed, 1.5, 7, Pair(np.ones(4), 2)))
    assert found == ((2, 0), fixed, None, None, ((4,), None))
    assert known_about(constant(np.zeros(LONGEST))) == (LONGEST,)
    assert known_about(constant(np.zeros(0))) == (0,)


@needs_jit
def test_what_is_known_is_in_the_code() -> None:
    """The control of all that follows: other sizes, numbers and contents than those are not seen."""
    five, others = np.arange(1.0, 6.0), np.full(5, 10.0)
    assert compiled(total_of(known_about(Pair(five, 2))))(Pair(five, 2)) == 30
    three = compiled(total_of(((3,), None)))
    assert three(Pair(five, 2)) == 12
    assert three(Pair(others, 3)) == 90
    assert compiled(total_of(((3,), 4)))(Pair(five, 2)) == 24
    held = compiled(total_of(known_about(Pair(constant(five), 2))))
    assert held(Pair(constant(others), 2)) == 30


@needs_jit
def test_an_exception_may_say_what_it_found() -> None:
    """Numba has a function for its arguments, which must not be inlined."""
    tailored = specialise((3,))

    @kernel
    def checked(x: float) -> float:
        if x > 10:
            raise ValueError("too large", x)
        return x

    @kernel(inlines_all=True)
    def last(x: np.ndarray) -> float:
        return checked(tailored(x)[-1])

    assert compiled(last)(np.arange(3.0)) == 2
    with pytest.raises(ValueError, match="too large") as caught:
        compiled(last)(np.arange(9.0, 12.0))
    assert caught.value.args == ("too large", 11.0)


def test_kernels_for_other_sizes_are_other_kernels() -> None:
    """By the fingerprint the cache finds them."""
    known = [((3,), None), ((4,), None), ((3,), 4), (constant(np.arange(3)), None)]
    known.append((constant(np.arange(3) + 1), None))
    found = [fingerprint(total_of(one)) for one in known]
    assert len(set(found)) == len(found)
    assert found == [fingerprint(total_of(one)) for one in known]


# --- runs ------------------------------------------------------------------------------------------


# Both kinds of networks; rules with history, that settle, and that draw. The next test has bptt.
TAILORED = ["truncated-bptt", "recurrent-backprop", "fast-weights-2", "kf-rtrl"]


@needs_jit
@pytest.mark.parametrize("rule", TAILORED)
def test_a_tailored_run_learns_the_same(rule: str) -> None:
    """But for rounding; a run of another learning rate is further away, which is the control."""
    task = suggested_tasks(rule)[0]

    def learnt(**choices: Any) -> np.ndarray:
        trainer = TaskTraining(configure(rule, task, steps=120, stop=False, **choices))
        list(trainer.chunks())
        assert trainer.step >= 60
        return trainer.training.flat_params

    plain, tailored = learnt(), learnt(tailored=True)
    scale = np.abs(plain).max()
    assert np.abs(tailored - plain).max() < 1e-10 * scale
    rate = configure(rule, task).learning_rate
    assert np.abs(learnt(learning_rate=1.001 * rate) - plain).max() > 1e-8 * scale


@needs_jit
def test_a_tailored_run_is_judged_and_says_what_it_was(tmp_path: Path) -> None:
    plain = rnnsim.run("bptt", "delayed-xor", steps=300, stop=False)
    arguments = ["run", "bptt", "delayed-xor", "--steps", "300", "--no-stop", "--tailored"]
    said = CliRunner().invoke(main, [*arguments, "--save", str(tmp_path / "run")])
    assert said.exit_code == 0, said.output
    saved = rnnsim.load(tmp_path / "run")
    assert saved.experiment.tailored is True
    np.testing.assert_allclose(saved.loss, plain.loss, rtol=1e-9)
    for found, expected in zip(saved.params, plain.params):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
