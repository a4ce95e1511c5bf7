"""The command line: what it prints, and that each bad input is one clear line and exit status 2."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from processes import LIMIT, run

import rnnsim
from rnnsim.cli import VERBS, main
from rnnsim.registry import installed
from rnnsim.sweeps.sweeping import sweep

SMALL = ("bptt", "delayed-xor", "--optimizer", "sgd", "--hidden", "4", "--window", "6")


def rnnsim_(*args: str) -> Result:
    """Run a command in this process; what it prints to stderr is apart."""
    return CliRunner().invoke(main, args)


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "rnnsim", *args]


def notes(stderr: str) -> str:
    """What is on stderr, but for the line that something is compiled."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("compiling "))


def assert_refused(status: int, out: str, err: str, message: str) -> None:
    err = notes(err)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1, err
    assert err.startswith("rnnsim: ")
    assert message in err


# --- lists -----------------------------------------------------------------------------------------


def test_rules_are_listed_with_claim_cost_and_origin() -> None:
    result = rnnsim_("rules")
    assert (result.exit_code, notes(result.stderr)) == (0, "")
    lines = result.stdout.splitlines()
    for name, entry in installed().rules.items():
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{name}  "))
        cost = entry.thing.cost
        assert lines[place] == (
            f"{name}  {entry.thing.claim}, time per step O({cost.time}), memory O({cost.memory})"
            f"  [{entry.distribution} {entry.version}]"
        )
        assert lines[place + 1] == f"    {rnnsim.rules()[name]}."
    assert len(lines) == 2 * len(installed().rules)


def test_tasks_are_listed_with_origin_criterion_and_baseline() -> None:
    result = rnnsim_("tasks")
    assert (result.exit_code, notes(result.stderr)) == (0, "")
    for name, entry in installed().tasks.items():
        assert (
            f"{name}  [{entry.distribution} {entry.version}]\n    {rnnsim.tasks()[name]}."
            in result.stdout
        )
    assert "    solved: error within 0.2 for 100 steps in a row\n" in result.stdout
    assert "    baseline loss per target: 0.125\n" in result.stdout


def test_one_rule_is_told_with_its_options() -> None:
    result = rnnsim_("rules", "truncated-bptt")
    assert result.exit_code == 0
    assert "  h [20]  how many steps each sweep goes back\n" in result.stdout
    assert "  h_prime  how many steps lie between sweeps" in result.stdout
    assert "rtrl" not in result.stdout
    assert not result.stdout.endswith("\n\n")


def test_one_task_is_told_with_its_options() -> None:
    result = rnnsim_("tasks", "delayed-xor")
    assert result.exit_code == 0
    assert "The XOR of two random bits" in result.stdout
    assert "  d [2]  steps from the two bits to their target\n" in result.stdout
    assert "\n\nsolved: error within 0.2 for 100 steps in a row\n" in result.stdout


def test_several_criteria_are_told_by_name() -> None:
    result = rnnsim_("tasks", "variable-binding")
    published = "error within 0.05 for 100 steps in a row"
    strict = f"{published} with each of 3 outputs asked for"
    assert f"\n\nsolved (strict): {strict}\nsolved (published): {published}\n" in result.stdout


def test_help_says_what_there_is() -> None:
    result = rnnsim_("--help")
    assert result.exit_code == 0
    assert "\n      rnnsim run rtrl delayed-xor\n" in result.stdout
    assert {"run", "sweep", "rules", "tasks", "compile", "cache"} <= set(VERBS)
    assert all(f"\n  {verb} " in result.stdout for verb in VERBS)
    assert max(map(len, result.stdout.splitlines())) <= 80
    for verb in VERBS:
        of_verb = rnnsim_(verb, "-h")
        assert of_verb.exit_code == 0, of_verb.stderr
        assert of_verb.stdout.startswith("Usage: ")
    for verb, own in (("run", "--seed "), ("sweep", "--seeds ")):
        assert all(option in rnnsim_(verb, "-h").stdout for option in ("--learning-rate", own))


def test_version() -> None:
    assert rnnsim.__version__ in rnnsim_("--version").stdout


@pytest.mark.parametrize(
    ("args", "expected"),
    [(["rules"], "False"), (["tasks"], "False"), (["--help"], "False"), (["run", "--help"], "False"),
     (["sweep", "--help"], "False"), (["compile", "--help"], "False"), (["cache"], "False"),
     (["cache", "--folder"], "False"), (["rules", "rtrl"], "False"),
     (["run", *SMALL, "--steps", "1"], "True")],
    ids=" ".join,
)  # fmt: skip
def test_only_a_run_imports_numba(args: list[str], expected: str) -> None:
    code = "import atexit, sys; atexit.register(lambda: print('numba' in sys.modules)); " \
           f"from rnnsim.cli import main; main({args!r})"  # fmt: skip
    done = run(sys.executable, "-c", code, check=True)
    assert done.stdout.splitlines()[-1] == expected


# --- a run -----------------------------------------------------------------------------------------


def test_a_run_prints_its_summary_and_nothing_else(tmp_path: Path) -> None:
    folder, figure = tmp_path / "run", tmp_path / "curve.svg"
    result = rnnsim_(
        "run", *SMALL, "--steps", "300", "--seed", "3", "--learning-rate", "0.05", "--batch", "2",
        "--network", "recurrent", "--settings", "default", "-o", "d=1", "--clip", "inf",
        "--save", str(folder), "--plot", str(figure),
    )  # fmt: skip
    assert (result.exit_code, notes(result.stderr)) == (0, ""), result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("bptt on delayed-xor, seed 3: not solved (300 steps; solved means: error")
    assert lines[1].startswith("held-out loss 0.")
    assert lines[2].endswith(" steps per second")
    assert figure.read_text().startswith("<?xml")
    with open(folder / "run.toml", "rb") as file:
        written = tomllib.load(file)
    assert written["task"] == {"name": "delayed-xor", "options": {"d": 1}}
    assert written["settings"] == {
        "name": "default", "seed": 3, "steps": 300, "window": 6, "batch": 2, "learning_rate": 0.05,
        "clip": np.inf, "stop": True, "weight_decay": 0.0, "schedule": "constant", "reduction": "sum",
        "tailored": False, "keep": "last", "keep_every": 6, "patience": 0, "criterion": "default",
        "params": False,
    }  # fmt: skip


def test_the_command_line_runs_what_the_function_does(tmp_path: Path) -> None:
    assert rnnsim_("run", *SMALL, "--steps", "50", "--no-stop", "--save", str(tmp_path)).exit_code == 0
    same = rnnsim.run("bptt", "delayed-xor", optimizer="sgd", hidden=4, window=6, steps=50, stop=False)
    saved = rnnsim.load(tmp_path)
    assert saved.loss == same.loss
    for array, other in zip(saved.params, same.params):
        np.testing.assert_array_equal(array, other)


@pytest.mark.usefixtures("uncompiled")
def test_the_kind_of_network_is_chosen() -> None:
    args = ("bptt", "flip-flop", "--network", "fast-weight", "--hidden", "0", "-o", "architecture=2")
    result = rnnsim_("run", *args, "--settings", "tuned", "--steps", "30")
    assert (result.exit_code, notes(result.stderr)) == (0, ""), result.output
    assert result.stdout.startswith("bptt on flip-flop, seed 0: not solved (30 steps")


def test_a_sweep_prints_its_table_and_nothing_else() -> None:
    args = ("--steps", "3000", "--learning-rate", "0.05", "--seeds", "3", "--control", "-o", "d=1")
    result = rnnsim_("sweep", *SMALL, *args)
    assert (result.exit_code, notes(result.stderr)) == (0, ""), result.output
    assert result.stdout.startswith("6 runs of 2 cells: ")
    same = sweep("bptt", "delayed-xor", 3, control=True, optimizer="sgd", hidden=4, window=6, steps=3000,
                 learning_rate=0.05, d=1)  # fmt: skip
    assert result.stdout == same.summary() + "\n"


def test_not_on_a_terminal_progress_is_silent() -> None:
    done = run(*command("run", *SMALL, "--steps", "300000", "--no-stop"))
    assert (done.returncode, notes(done.stderr)) == (0, "")
    assert done.stdout.startswith("bptt on delayed-xor, seed 0: solved at step")
    assert "(300,000 steps" in done.stdout


INTERRUPTIBLE = """
import signal
from rnnsim.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


class Terminal:
    """A command whose stderr is a pseudo-terminal, and its stdout a pipe.

    Ctrl-C reaches it also where it would be ignored: in a test run in the background, say.
    """

    def __init__(self, *args: str) -> None:
        import pty
        import termios

        self._end, other = pty.openpty()
        termios.tcsetwinsize(other, (24, 120))
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *args], stdout=subprocess.PIPE, stderr=other,
            text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(other)
        self.shown, self._until = "", time.monotonic() + LIMIT

    def read(self) -> bool:
        """Take what is there; False at the end, or where there is none for long."""
        try:
            if not select.select([self._end], [], [], max(0, self._until - time.monotonic()))[0]:
                return False
            if time.monotonic() > self._until:
                return False
            piece = os.read(self._end, 65536)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        self.shown += piece.decode()
        return bool(piece)

    def close(self) -> str:
        try:
            out, _ = self.process.communicate(timeout=max(1, self._until - time.monotonic()))
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)  # with its own processes
                self.process.wait()
            os.close(self._end)
        return out


needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


@needs_terminal
def test_on_a_terminal_a_progress_bar_shows_the_loss() -> None:
    terminal = Terminal("run", *SMALL, "--steps", "4000000", "--no-stop", "--learning-rate", "0")
    while terminal.read():
        pass
    out = terminal.close()
    assert out.startswith("bptt on delayed-xor")
    assert "%|" in terminal.shown
    assert "loss 0." in terminal.shown
    assert "error " in terminal.shown
    assert "/4000000 [" in terminal.shown
    assert terminal.shown.rstrip(" \n").endswith("\r")  # the bar is wiped away at the end


@needs_terminal
def test_on_a_terminal_a_sweep_shows_how_many_runs_are_done() -> None:
    terminal = Terminal("sweep", *SMALL, "--steps", "20000", "--seeds", "5", "--jobs", "1")
    while terminal.read():
        pass
    assert terminal.close().startswith("5 runs of 1 cell: ")
    assert "/5 [" in terminal.shown
    assert terminal.shown.rstrip(" \n").endswith("\r")


LONG = ("--steps", str(10**12), "--learning-rate", "0")


@needs_terminal
@pytest.mark.parametrize(
    ("verb", "args", "shown"),
    [("run", ["--no-stop"], "loss"), *(("sweep", ["--jobs", jobs], "0/10") for jobs in "12")],
)
def test_an_interrupt_is_one_line(verb: str, args: list[str], shown: str) -> None:
    terminal = Terminal(verb, *SMALL, *LONG, *args)
    while shown not in terminal.shown and terminal.read():
        pass
    os.killpg(terminal.process.pid, signal.SIGINT)  # all of them, as Ctrl-C does
    while terminal.read():
        pass
    printed = terminal.close()
    assert terminal.process.returncode == 130
    if verb == "run":  # which ends in order
        assert "steps, interrupted; solved means: " in printed
        said = r"rnnsim: interrupted after [\d,]+ steps; it was not saved \(--save DIR .*\)\s*$"
        assert re.search(said, terminal.shown)
    else:
        assert printed == ""
        assert terminal.shown.rstrip().endswith("rnnsim: interrupted")
    assert "Traceback" not in terminal.shown


# --- bad input -------------------------------------------------------------------------------------

RUN = ("run", "bptt", "delayed-xor")

BAD: list[tuple[tuple[str, ...], str]] = [
    (("rules", "rtlr"), "no rule is called 'rtlr'; did you mean rtrl"),
    (("tasks", "addding"), "no task is called 'addding'; did you mean adding"),
    (("run", "btpp", "delayed-xor"), "no rule is called 'btpp'; did you mean bptt"),
    (("run", "bptt", "delayed-or"), "no task is called 'delayed-or'; did you mean delayed-xor"),
    (("run", "delayed-xor", "adding"), "no rule is called 'delayed-xor'; there are bptt"),
    ((*RUN, "--optimizer", "adamm"), "no optimizer is called 'adamm'; did you mean adam"),
    ((*RUN, "--criterion", "best"), "no criterion of delayed-xor is called 'best'"),
    ((*RUN, "--dtype", "int8"), "dtype is float64 or float32, not 'int8'"),
    ((*RUN, "--network", "fast-wait"), "no network is called 'fast-wait'"),
    ((*RUN, "--settings", "best"), "no setting of delayed-xor (recurrent network) is called 'best'"),
    ((*RUN, "--hidden", "0"), "hidden is 0; it must be at least 1"),
    ((*RUN, "--steps", "0"), "steps is 0; it must be at least 1"),
    ((*RUN, "--steps", "-5"), "steps is -5; it must be at least 1"),
    ((*RUN, "--steps", "1" + 30 * "0"), "it must be at most"),
    ((*RUN, "--hidden", "-1"), "hidden is -1; it must be at least 1"),
    ((*RUN, "--hidden", "1" + 30 * "0"), "it must be at most"),
    ((*RUN, "--window", "0"), "window is 0; it must be at least 1"),
    ((*RUN, "--batch", "0"), "batch is 0; it must be at least 1"),
    ((*RUN, "--seed", "-1"), "seed is -1; it must be at least 0"),
    ((*RUN, "--learning-rate", "nan"), "learning_rate is nan; it must be finite"),
    ((*RUN, "--learning-rate", "inf"), "learning_rate is inf; it must be finite"),
    ((*RUN, "--learning-rate", "-1"), "learning_rate is -1; it must be at least 0"),
    ((*RUN, "--clip", "nan"), "clip is nan; it must be finite"),
    ((*RUN, "--clip", "-1"), "clip is -1; it must be above 0"),
    ((*RUN, "-o", "d"), "-o takes NAME=VALUE, not 'd'"),
    ((*RUN, "-o", "=3"), "-o takes NAME=VALUE, not '=3'"),
    ((*RUN, "-o", ""), "-o takes NAME=VALUE, not ''"),
    ((*RUN, "-o", "d=3", "-o", "d=4"), "-o d is given twice: '3' and '4'"),
    ((*RUN, "-o", "delay=3"), "is called 'delay'; there are "),
    ((*RUN, "-o", "d="), "option d of delayed-xor is '': expected a whole number"),
    ((*RUN, "-o", "d=0"), "option d of delayed-xor is '0': expected a whole number >= 1"),
    ((*RUN, "-o", "d=2.5"), "option d of delayed-xor is '2.5': expected a whole number"),
    ((*RUN, "-o", "checkpoint=perhaps"), "checkpoint of bptt is 'perhaps': expected true or false"),
    ((*RUN, "-o", "steps=5"), "the task, the optimizer and the network; steps is none"),
    ((*RUN, "-o", "rule=rtrl"), "rule is none"),
    ((*RUN, "-o", "network=x"), "network is none"),
    ((*RUN, "-o", "progress=1"), "progress is none"),
    ((*RUN, "--optimizer", "adam", "-o", "beta1=1"), "beta1 of adam is '1': expected a number < 1"),
    (("run", "truncated-bptt", "delayed-xor", "-o", "h=3", "-o", "h_prime=4"), "h_prime is 4; it must"),
    (("run", "recurrent-backprop", "delayed-xor"), "needs a task whose patterns are held fixed"),
    (("run", "bptt", "steady-state-xor"), "bptt needs a task of time steps"),
    (("sweep", "bptt", "delayed-or"), "no task is called 'delayed-or'; did you mean delayed-xor"),
    (("sweep", "bptt", "delayed-xor", "--seeds", "0"), "seeds is 0; it must be at least 1"),
    (("sweep", "bptt", "delayed-xor", "--jobs", "0"), "jobs is 0; it must be at least 1"),
    (("sweep", "bptt", "delayed-xor", "-o", "control=1"), "control is none"),
    (("sweep", "bptt", "delayed-xor", "--grid", "learning-rate=1", "--grid", "learning_rate=2"),
     "--grid learning_rate is given twice: '1' and '2'"),
    (("sweep", "bptt", "delayed-xor", "--grid", "window="), "--grid takes NAME=V1,V2; 'window' has no"),
    (("sweep", "bptt", "delayed-xor", "-o", "seed=1"), "seed is none"),
    ((*RUN, "--plot", "curve.xyz"), "cannot draw into curve.xyz: the file must end in .png, .svg, .pdf"),
    ((*RUN, "--plot", "no/such/curve.png"), "there is no folder no/such"),
    (("run", "bptt", "table"), "the task table needs data: a file by path="),
    (("run", "bptt", "table", "-o", "path=no.csv"), "no.csv"),
    (("run", "bptt", "table", "-o", "path=data.txt"), "data.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_input_is_one_clear_line(
    args: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.txt").write_text("x\n1\n")
    result = rnnsim_(*args)
    assert isinstance(result.exception, SystemExit)
    assert_refused(result.exit_code, result.stdout, result.stderr, message)
    assert [path.name for path in tmp_path.iterdir()] == ["data.txt"]  # nothing is left behind


ROWS = "".join(f"{t * t % 7},{t * t % 11}\n" for t in range(20))
TABLES: list[tuple[str, list[str], list[str]]] = [
    ("x,y\n" + ROWS + "3,four\n" + ROWS, [], ["t.csv, line 22, column y: 'four' is no number"]),
    ("x,y\n" + ROWS + "nan,4\n" + ROWS, ["-o", "missing=error"], ["t.csv, line 22, column x"]),
    ("x,y\n" + ROWS + "1,inf\n", ["-o", "missing=error"], ["t.csv, line 22, column y"]),
    ("x,y\n" + ROWS + "1,\n", ["-o", "missing=error"], ["t.csv, line 22, column y: no finite number"]),
    ("x,y\n" + ROWS + "1\n", [], ["t.csv, line 22: 1 value ('1'); the header names 2 columns"]),
    ("price,y\n" + ROWS, ["-o", "inputs=prize"], ["'prize'", "did you mean price"]),
    ("price,y\n" + ROWS, ["-o", "target=z"], ["'z'", "there are price, y"]),
    ("x,y\n", [], ["t.csv has columns but no rows"]),
    ("x,y\n1,2\n", [], ["t.csv: the longest sequence has 1 rows"]),
    ("", [], ["t.csv is empty"]),
    ("1,2\n3,4\n", [], ["t.csv has no header"]),
    ("x,y\n" + ROWS, ["-o", "ahead=-1"], ["ahead is -1"]),
    ("x,y\n" + ROWS, ["-o", "test=1.5"], ["test is '1.5'"]),
    ("x,y\n" + ROWS, ["-o", "held_out=1.5"], ["no option of", "is called 'held_out'"]),
]


@pytest.mark.parametrize(("content", "options", "messages"), TABLES)
def test_a_bad_table_is_one_clear_line(
    content: str, options: list[str], messages: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    result = rnnsim_("run", "bptt", "table", "-o", f"path={path}", *options)
    for message in messages:
        assert_refused(result.exit_code, result.stdout, result.stderr, message)


@pytest.mark.usefixtures("uncompiled")
def test_a_good_table_is_learnt_from(tmp_path: Path) -> None:
    """The control: nothing above is refused for being a table."""
    rows = (f"{np.sin(t / 5):.6f},{np.cos(t / 5):.6f}\n" for t in range(60))
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(rows))
    result = rnnsim_("run", "bptt", "table", "-o", f"path={path}", "--steps", "20")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "t.csv: 60 rows"  # what each column is for comes first
    assert result.stdout.startswith("bptt on t.csv")


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "run")
    result = rnnsim_("run", *SMALL, "--steps", str(10**12), "--save", folder)
    assert_refused(result.exit_code, result.stdout, result.stderr, f"cannot save the run in {folder}: ")


def test_a_run_that_diverges_is_one_clear_line() -> None:
    result = rnnsim_("run", *SMALL, "--learning-rate", "1e300", "--clip", "inf")
    assert_refused(result.exit_code, result.stdout, result.stderr, "the run diverged at step ")
    assert "try a learning rate below 1e+300, or clip" in result.stderr


def test_too_little_memory_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(sys.modules["rnnsim.cli.run"], "run", run)
    result = rnnsim_("run", *SMALL)
    assert_refused(
        result.exit_code, result.stdout, result.stderr, "not enough memory: Unable to allocate"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((*RUN, "--steps", "many"), "Invalid value for '--steps': 'many' is not a valid integer"),
        ((*RUN, "--learning-rate", "fast"), "Invalid value for '--learning-rate': 'fast' is not"),
        ((*RUN, "--step", "5"), "No such option"),
        (("run", "bptt"), "Missing argument RULE TASK, or --config FILE"),
        ((*RUN, "more"), "unexpected extra argument"),
        (("walk",), "No such command 'walk'"),
    ],
)
def test_bad_usage_says_how_to_get_help(args: tuple[str, ...], message: str) -> None:
    result = rnnsim_(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "--help" in result.stderr
    assert len(result.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    "args", [("run", "btpp", "delayed-xor"), (*RUN, "-o", "steps=5"), (*RUN, "--learning-rate", "nan")]
)
def test_a_real_process_shows_no_traceback(args: tuple[str, ...]) -> None:
    done = run(*command(*args))
    assert_refused(done.returncode, done.stdout, done.stderr, "")
