"""The log of a run: what it says, however the run is cut, killed, gone on with, or the disk full."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from plain_loop import Script

import rnnsim
from rnnsim.cli import main
from rnnsim.errors import Diverged, RnnsimError, RnnsimWarning
from rnnsim.registry import installed
from rnnsim.runs import log as logs
from rnnsim.runs import running
from rnnsim.runs.log import Log, bytes_up_to, settled
from rnnsim.training import observing
from rnnsim.training.experiment import Experiment, configure
from rnnsim.training.observing import Curve
from rnnsim.training.seen import Seen
from rnnsim.training.task_training import TaskTraining

POINTS = 8  # of the curve in these tests: 150 steps fill it five times
STEPS = 150
SMALL: dict[str, Any] = {"hidden": 3, "steps": STEPS, "stop": False}
WINDOWS = [1, 4, 5, 6, 20]

Points = list[tuple[int, float, float]]  # the last step, the loss, the score


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch, uncompiled: None) -> None:
    monkeypatch.setattr(observing, "CURVE", POINTS)
    monkeypatch.setattr(logs, "CURVE", POINTS)
    task = installed().tasks["delayed-xor"].thing  # judged on few data: that takes less time uncompiled
    monkeypatch.setattr(task, "held_out_shape", lambda self: (20, 1))


def experiment(window: int = 1, **given: Any) -> Experiment:
    """On data with weights, resets, ends of windows here and there, and steps without targets."""
    script = Script(ends=window == 20)
    return configure("bptt", script, **{"window": window, "steps": STEPS, **given})


def logged(path: Path, chunk: int | None = None, **given: Any) -> TaskTraining:
    """Carry a run to its end, with a log."""
    configured = experiment(**given)
    with Log(path, configured) as log:
        trainer = TaskTraining(configured, lookers=[log])
        for _ in trainer.chunks(chunk):
            pass
    return trainer


def points_of(content: bytes) -> Points:
    """What a log says, but for the time."""
    assert content == b"" or content.endswith(b"\n")
    lines = [json.loads(line) for line in content.splitlines()]
    assert all(list(line) == ["step", "loss", "error", "seconds"] for line in lines)
    return [(line["step"], line["loss"], line["error"]) for line in lines]


# --- what it says ---


class Steps(NamedTuple):
    """What there is at each step of a run: sums over sequences of losses, weights, scores, targets."""

    losses: np.ndarray
    weights: np.ndarray
    scores: np.ndarray
    targets: np.ndarray
    ends: list[int]  # of windows

    def point(self, begin: int, end: int) -> tuple[int, float, float] | None:
        """The point of the steps after one, up to another."""
        losses, weights, scores, targets = (part[begin:end].sum() for part in self[:4])
        return (end, losses / weights, scores / targets) if targets else None


def steps_of(**given: Any) -> Steps:
    """Look at each step of a run, window by window."""
    trainer = TaskTraining(experiment(**given))
    for _ in trainer.chunks():
        pass
    ends, stream = [0], trainer.stream
    for _ in (again := TaskTraining(experiment(**given))).chunks(1):
        ends.append(again.step)
    assert trainer.step <= len(stream.losses)  # it is still there as a whole
    mask = stream.mask[:STEPS]
    errors = np.abs(stream.outputs[:STEPS] - stream.targets[:STEPS]).max(axis=2)
    asked = mask > 0
    return Steps(stream.losses[:STEPS], mask.sum(axis=1), (errors * asked).sum(axis=1),
                 asked.sum(axis=1), ends)  # fmt: skip


def finest(step: int) -> int:
    """The steps of a point, if the curve is to hold so many steps: a power of two."""
    return next(every for every in (2**i for i in itertools.count()) if step <= POINTS * every)


def agree(found: Points, expected: Points) -> bool:
    return [step for step, *_ in found] == [step for step, *_ in expected] and np.allclose(
        [rest for _, *rest in found], [rest for _, *rest in expected], rtol=1e-11
    )


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("window", [1, 4])
def test_each_point_is_the_mean_over_its_steps(window: int, tmp_path: Path) -> None:
    """With windows that end where points are merged, it is as fine as the curve at its last step."""
    logged(tmp_path / "log", window=window)
    steps = steps_of(window=window)
    lasts = [*(step for step in range(1, STEPS + 1) if step % finest(step) == 0), STEPS]
    expected = [steps.point(*pair) for pair in itertools.pairwise([0, *lasts])]
    found = points_of((tmp_path / "log").read_bytes())
    assert agree(found, [point for point in expected if point])
    assert None in expected  # it is left out
    assert STEPS % finest(STEPS)  # the last point is a part
    # the controls: other points, and other numbers
    assert not agree(found, [point for point in expected if point][1:])
    assert not agree(found, [(step, loss * 1.001, score) for step, loss, score in found])


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("window", WINDOWS)
def test_with_any_windows_the_points_are_all_the_steps(window: int, tmp_path: Path) -> None:
    """Each once, and each point as fine as the curve at the beginning or the end of its last window."""
    logged(tmp_path / "log", window=window)
    steps = steps_of(window=window)
    found = points_of((tmp_path / "log").read_bytes())
    begin, expected = 0, []
    for end, *_ in found:
        while not steps.targets[begin:end].any() or end - begin > finest(end + window):
            begin += 1  # steps without targets before a point may be of one that is left out
        expected.append(steps.point(begin, end))
        begin = end
    assert sum(steps.targets[: found[0][0]]) > 0
    assert agree(found, [point for point in expected if point])
    lasts = [end for end, *_ in found]
    for end in lasts[:-1]:
        last_window = next(pair for pair in itertools.pairwise(steps.ends) if pair[1] >= end)
        assert any(end % finest(step) == 0 for step in (end, last_window[1]))
    assert lasts[-1] == max(np.flatnonzero(steps.targets)) + 1 or lasts[-1] == STEPS


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("window", WINDOWS)
def test_the_log_does_not_depend_on_how_a_run_is_cut(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for chunk in (1, 3, 50, None):
        logged(tmp_path / f"{chunk}", chunk, window=window)
    whole = points_of((tmp_path / "None").read_bytes())
    assert all(points_of((tmp_path / f"{chunk}").read_bytes()) == whole for chunk in (1, 3, 50))
    # the control: where it does not ask for cuts of its own
    monkeypatch.setattr(Log, "next_cut", lambda self, step: 10**9)
    logged(tmp_path / "uncut", STEPS, window=window)
    assert points_of((tmp_path / "uncut").read_bytes()) != whole


def test_a_compiled_run_is_the_same_to_the_bit_and_its_log_ends_as_its_curve(tmp_path: Path) -> None:
    """The default run, of more steps than the curve has points."""
    plain = rnnsim.run("rtrl", "delayed-xor", steps=3000)
    run = rnnsim.run("rtrl", "delayed-xor", steps=3000, log=tmp_path / "log")
    assert (plain.solved_at, plain.held_out) == (run.solved_at, run.held_out)
    assert all(np.array_equal(one, other) for one, other in zip(plain.params, run.params, strict=True))
    found = points_of((tmp_path / "log").read_bytes())
    metrics = list(zip(*run.metrics.values(), strict=True))
    coarse = [point for point in found if point[0] > 2048]  # by then the curve has no more merges
    assert coarse == metrics[-len(coarse) :]
    assert len(coarse) == -(-(run.steps - 2048) // 8)
    assert [step for step, *_ in found[:400]] == [*range(3, 403)]
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "log").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] <= run.seconds + 1e-6
    assert len(found) > len(metrics)


@pytest.mark.usefixtures("few_points")
def test_the_log_can_be_followed(tmp_path: Path) -> None:
    """A callback finds in the file all that is complete, but for a point that will have a neighbour."""
    last: list[tuple[int, int]] = []

    def look(seen: Seen) -> None:
        found = points_of((tmp_path / "log").read_bytes())
        last.append((seen.step, found[-1][0] if found else 0))

    rnnsim.run("rtrl", "delayed-xor", callback=look, callback_every=25, log=tmp_path / "log", **SMALL)
    assert last == [(0, 0), (25, 24), (50, 48), (75, 64), (100, 96), (125, 96), (150, 150)]


@pytest.mark.usefixtures("few_points")
def test_a_file_that_is_there_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("what is this\n" * 1000)
    logged(tmp_path / "log")
    logged(tmp_path / "other")
    assert points_of((tmp_path / "log").read_bytes()) == points_of((tmp_path / "other").read_bytes())


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    curve = Curve(np.ones(1, int), *np.ones((4, 4)))
    curve.score[:3] = np.nan, np.inf, -np.inf
    trainer: Any = SimpleNamespace(curve=curve, step=4, seconds=0.5)
    with Log(tmp_path / "log", experiment()) as log:
        log.look(trainer, 0, True)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["error"] for line in lines] == [None, None, None, 1.0]
    assert lines[3] == {"step": 4, "loss": 1.0, "error": 1.0, "seconds": 0.5}


# --- a run that does not end ---


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_is_complete_is_there_after_an_interrupt(how: type[BaseException], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    rnnsim.run("rtrl", "delayed-xor", log=whole, **SMALL)

    def end(seen: Seen) -> None:
        if seen.step == 77:
            raise how

    with pytest.raises((how, RnnsimError)):
        rnnsim.run("rtrl", "delayed-xor", log=tmp_path / "log", callback=end, callback_every=77, **SMALL)
    found = points_of((tmp_path / "log").read_bytes())
    assert found == [point for point in points_of(whole.read_bytes()) if point[0] <= 77]
    assert found[-1][0] == 64


@pytest.mark.usefixtures("few_points")
def test_a_run_that_diverges_has_its_log(tmp_path: Path) -> None:
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="at step") as caught:
        logged(tmp_path / "log", learning_rate=30.0)
    at = int(str(caught.value).split("at step ")[1].split(":")[0])
    last = points_of((tmp_path / "log").read_bytes())[-1][0]
    assert at - 4 * finest(at) <= last < at


KILLED = """
import sys
import rnnsim
from rnnsim.training import observing
from rnnsim.runs import log
observing.CURVE = log.CURVE = 8
rnnsim.run("rtrl", "delayed-xor", hidden=3, steps=10**9, stop=False, log=sys.argv[1],
           callback=lambda seen: None, callback_every=1)
"""


def test_a_run_that_is_killed_leaves_lines_that_can_be_gone_on_with(tmp_path: Path) -> None:
    """But for the last line, which may be a part of one."""
    path = tmp_path / "log"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], env=environment)
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < 40:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    content = path.read_bytes()
    points = points_of(content[: content.rindex(b"\n") + 1])
    assert [step for step, *_ in points[:8]] == [3, 4, 5, 6, 7, 8, 10, 12]
    assert bytes_up_to(path, 12) == sum(map(len, content.splitlines(keepends=True)[:8]))


# --- going on ---


class From:
    """Looks by the log that is gone on with, from a step on: as if the run had been resumed there."""

    def __init__(self, path: Path, configured: Experiment, step: int) -> None:
        self.log: Log | None = None
        self.how = path, configured, step

    def next_cut(self, step: int) -> int:
        return self.log.next_cut(step) if self.log else self.how[2]

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        path, configured, step = self.how
        if self.log is None and trainer.step >= step:
            self.log, before = Log(path, configured, trainer.step), trainer.step
        return self.log is not None and self.log.look(trainer, before, ended)


def gone_on(path: Path, step: int, **given: Any) -> Points:
    """The log after a run that is resumed at a step has come to its end."""
    configured = experiment(**given)
    looker = From(path, configured, step)
    for _ in TaskTraining(configured, lookers=[looker]).chunks():
        pass
    assert looker.log is not None
    with looker.log:
        pass  # it is closed
    return points_of(path.read_bytes())


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize("window", [1, 20])
def test_a_log_that_is_gone_on_with_is_that_of_an_uninterrupted_run(window: int, tmp_path: Path) -> None:
    """Whatever a process has left there after the checkpoint."""
    whole, path, ended = (tmp_path / name for name in ("whole", "log", "ended"))
    logged(whole, window=window)
    logged(ended, window=window, steps=100)  # its last point is a part of one
    lines = whole.read_bytes().splitlines(keepends=True)
    more = b"".join(lines[:-2])
    for left, step in [
        (more, 1), (more, 34), (more + lines[-2][:30], 70), (more + lines[-2][:4], 80),
        (ended.read_bytes(), 70), (ended.read_bytes(), 59), (whole.read_bytes(), 59),
    ]:  # fmt: skip
        path.write_bytes(left)
        assert gone_on(path, step, window=window) == points_of(whole.read_bytes())
    # the control: lines that were not there at the checkpoint are missed
    path.write_bytes(b"".join(lines[:5]))
    assert gone_on(path, 59, window=window) != points_of(whole.read_bytes())


@pytest.mark.usefixtures("few_points")
def test_a_new_log_of_a_run_that_goes_on_has_what_follows(tmp_path: Path) -> None:
    logged(tmp_path / "whole")
    whole = points_of((tmp_path / "whole").read_bytes())
    assert gone_on(tmp_path / "log", 59) == [point for point in whole if point[0] > 48]


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize(
    "content",
    [b"step,loss\n1,2\n", b"\n", b"what is this", b'{"loss": 1}\n', b'{"step":"1"}\n', b"[1]\n",
     b'{"step":' * 200, b'{"step":1}\n\xff\n'],
)  # fmt: skip
def test_a_file_that_is_no_log_is_refused_and_stands(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(RnnsimError, match=r"^log is that of the run so far, or a new file; .*/log has"):
        Log(path, experiment(), 5)
    assert path.read_bytes() == content


def test_what_is_settled_is_no_longer_merged_with_what_follows() -> None:
    """512 points: after 512 steps pairs, after 1024 fours."""
    found = [settled(step, 1) for step in (0, 1, 511, 512, 513, 514, 1023, 1024, 1025, 1028)]
    assert found == [0, 0, 510, 512, 512, 512, 1020, 1024, 1024, 1024]
    assert [settled(step, 10) for step in (500, 503, 511, 513)] == [500, 502, 510, 512]
    assert settled(100, 1000) == 100
    assert settled(101, 1000) == 100


# --- a file that cannot be written ---


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("path", "why"), [(".", "Is a directory"), ("no/such/log", "No such file or directory")]
)
def test_a_log_that_cannot_be_written_is_refused_before_training(
    path: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "TaskTraining", pytest.fail)  # which nothing gets to
    with pytest.raises(
        RnnsimError, match=f"^log is a file that can be written; {path} cannot be: {why}$"
    ):
        rnnsim.run("rtrl", "delayed-xor", log=path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def file_of_1200_bytes() -> Iterator[None]:
    """Let no file become larger, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1200, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("few_points", "file_of_1200_bytes")
def test_a_disk_that_fills_up_is_a_warning_and_the_run_goes_on(tmp_path: Path) -> None:
    with pytest.warns(
        RnnsimWarning, match="the log .*/log ends at step .* cannot be written any"
    ) as caught:
        run = rnnsim.run("rtrl", "delayed-xor", log=tmp_path / "log", callback=lambda seen: None,
                         callback_every=1, **SMALL)  # fmt: skip
    assert len(caught) == 1
    assert run.steps == STEPS
    content = (tmp_path / "log").read_bytes()
    last = points_of(content)[-1][0]  # a whole line
    assert f"ends at step {last}," in str(caught[0].message)
    assert 1000 < len(content) <= 1200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.usefixtures("few_points")
def test_a_full_device_is_a_warning_too() -> None:
    with pytest.warns(
        RnnsimWarning, match=r"the log /dev/full ends at step \d, .*No space left"
    ) as caught:
        assert rnnsim.run("rtrl", "delayed-xor", log="/dev/full", **SMALL).steps == STEPS
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rnnsim.run("rtrl", "delayed-xor", log=os.devnull, **SMALL)
        with Log(os.devnull, experiment(), 5):
            pass  # nothing is read of it


# --- the command line ---


@pytest.mark.usefixtures("few_points")
def test_a_log_on_the_command_line(tmp_path: Path) -> None:
    words = ["run", "rtrl", "delayed-xor", "--steps", "150", "--hidden", "3", "--log"]
    result = CliRunner().invoke(main, [*words, str(tmp_path / "log")])
    assert result.exit_code == 0, result.stderr
    rnnsim.run("rtrl", "delayed-xor", log=tmp_path / "other", hidden=3, steps=150)
    assert points_of((tmp_path / "log").read_bytes()) == points_of((tmp_path / "other").read_bytes())
    refused = CliRunner().invoke(main, [*words, str(tmp_path)])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"rnnsim: log is a file that can be written; {tmp_path} cannot be: Is a directory\n"
    )
