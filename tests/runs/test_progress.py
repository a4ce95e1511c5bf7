"""Progress bars: what terminals of any width and notebooks are given, and who is given nothing."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tqdm.std import tqdm

import rnnsim
from rnnsim.runs.bars import bar, in_kernel, terminal_size
from rnnsim.sweeps.sweeping import sweep

NAME, TOTAL, SAID = "rtrl on delayed-xor", 100_000, "loss 0.1234, error 0.345"
SMALL = {"hidden": 2, "window": 6, "steps": 12}

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


def use(end: Callable[[], None] = lambda: None) -> None:
    """Show a bar from its beginning to its end."""
    with bar(TOTAL, NAME, "steps", shown=True) as show:
        for done in range(0, 70_001, 10_000):
            show(done, SAID)
            for each in tqdm._instances:
                each.refresh()  # without waiting for a tenth of a second
        end()


@contextlib.contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> Iterator[Callable[[], str]]:
    """Let standard error be a terminal of this size; yields what reads what it was sent."""
    import pty
    import termios

    mine, other = pty.openpty()
    termios.tcsetwinsize(other, (rows, columns))
    with os.fdopen(other, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)

        def sent() -> str:
            stream.flush()
            os.set_blocking(mine, False)
            found = b""
            with contextlib.suppress(BlockingIOError):
                while piece := os.read(mine, 65536):
                    found += piece
            return found.decode()

        yield sent
    os.close(mine)


def lines(text: str) -> list[str]:
    """What stood on the line, one after the other."""
    return [line for line in text.split("\r") if line.strip()]


# --- terminals ---


@needs_terminal
@pytest.mark.parametrize("rows", [0, 24])
@pytest.mark.parametrize(
    ("columns", "variable", "expected"),
    [(0, None, 80), (0, "60", 60), (0, "", 80), (0, "0", 80), (0, "-3", 80), (0, "wide", 80),
     (0, "9" * 30, 80), (40, None, 40), (80, None, 80), (80, "60", 80), (120, None, 120)],
)  # fmt: skip
def test_a_bar_is_as_wide_as_the_terminal(
    columns: int, rows: int, variable: str | None, expected: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:  # pytest reads the variables too, when it reports
        patch.delenv("COLUMNS", raising=False)
        patch.delenv("LINES", raising=False)
        if variable is not None:
            patch.setenv("COLUMNS", variable)
        with terminal(patch, columns, rows) as sent:
            use()
            shown = sent()
    assert len(lines(shown)) >= 7
    assert max(len(line) for line in lines(shown)) == expected - 1  # the last would begin a new line
    for line in lines(shown)[1:]:
        assert SAID in line  # not cut off, even if there is little room
        assert "%" in line
    assert shown.endswith("\r")
    assert "\n" not in shown


@needs_terminal
@pytest.mark.parametrize("rows", [0, 24])
def test_tqdm_alone_would_not_do(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without rows it shows nothing, and without columns it cuts the end off."""
    with terminal(monkeypatch, 0, rows) as sent:
        with tqdm(total=10, desc=NAME, postfix=SAID, disable=None, leave=False, file=sys.stderr) as made:
            made.refresh()
        shown = lines(sent())
    assert not any(line.endswith("]") for line in shown)
    assert bool(shown) == bool(rows)


@needs_terminal
@pytest.mark.parametrize(("columns", "rest"), [
    (140, "70000/100000 [00:00<00:00, "), (95, "70000/100000 [00:00<00:00"), (80, "00:00<00:00, loss"),
    (45, "00:00, loss"), (40, "70% 00:00, loss"), (34, "70%, loss"),
])  # fmt: skip
def test_what_there_is_no_room_for_is_left_out(
    columns: int, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch, columns, 24) as sent:
        use()
        last = lines(sent())[-1]
    before, _, after = last.rpartition("| ")
    assert after.strip().startswith(rest), last
    assert SAID in last
    assert (NAME in before) == (columns > 45)


@needs_terminal
@pytest.mark.parametrize("columns", [1, 2, 5, 20])
def test_a_terminal_may_be_too_small(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, columns, 1) as sent:
        use()
        assert max(map(len, lines(sent()))) == max(1, columns - 1)


@needs_terminal
@pytest.mark.parametrize(
    ("columns", "rows", "expected"), [(0, 0, (60, 33)), (40, 0, (40, 33)), (0, 10, (60, 10))]
)
def test_what_a_terminal_does_not_say_is_in_the_variables(
    columns: int, rows: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "33")
    with terminal(monkeypatch, columns, rows):
        assert terminal_size(sys.stderr) == expected


@needs_terminal
def test_what_is_done_already_is_shown_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 80, 24) as sent:
        with bar(100, NAME, "steps", shown=True, done=40):
            pass
        assert " 40%|" in lines(sent())[0]


def test_where_there_is_no_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        use()
        assert not (stream and stream.getvalue())
    assert terminal_size(None) == terminal_size(io.StringIO())


@needs_terminal
def test_a_bar_that_is_not_to_be_shown_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 80, 24) as sent:
        with bar(3, NAME, "steps", shown=False) as show:
            show(2, SAID)
        assert sent() == ""


@needs_terminal
@pytest.mark.usefixtures("uncompiled")
def test_runs_sweeps_and_comparisons_show_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    works = {
        "bptt on delayed-xor: ": lambda: rnnsim.run("bptt", "delayed-xor", **SMALL, progress=True),
        "sweep": lambda: sweep("bptt", "delayed-xor", 2, **SMALL, progress=True),
        "comparing on delayed-xor": lambda: rnnsim.compare(
            ["bptt", "rtrl"], "delayed-xor", **SMALL, progress=True
        ),
    }
    for name, work in works.items():
        with terminal(monkeypatch, 0, 0) as sent:
            work()
            shown = sent()
        assert name in shown
        assert {len(line) for line in lines(shown)} == {79}, shown


# --- notebooks ---


class Widget:
    """As much of ipywidgets as tqdm's bar for notebooks asks for."""

    def __init__(self, **given: Any) -> None:
        self.layout, self.style = types.SimpleNamespace(), types.SimpleNamespace(bar_color=None)
        self.value, self.bar_style, self.closed = "", "", False
        self.__dict__.update(given)

    def close(self) -> None:
        self.closed = True


class Output:
    """What a cell of a notebook shows."""

    def __init__(self) -> None:
        self.displayed: list[Any] = []
        self.texts: list[str] = []  # of the one line, one after the other

    def display(self, thing: Any, raw: bool = False, display_id: bool = False) -> Output:
        assert raw == display_id == isinstance(thing, dict)
        self.displayed.append(thing)
        return self

    def update(self, data: dict[str, str], raw: bool) -> None:
        assert raw
        self.texts.append(data["text/plain"])


class ZMQInteractiveShell:
    """The shell of a kernel."""


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """Let this process look like the kernel of a notebook, without ipywidgets; yields what it shows."""
    output = Output()
    shell, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    vars(shell)["get_ipython"], vars(display)["display"] = ZMQInteractiveShell, output.display
    for module in (shell, display, types.ModuleType("ipykernel.zmqshell")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # its import fails
    monkeypatch.delitem(sys.modules, "tqdm.notebook", raising=False)
    for name in [name for name in os.environ if name == "QT_API" or name.startswith("SPYDER")]:
        monkeypatch.delenv(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield output
    sys.modules.pop("tqdm.notebook", None)  # it has seen what is not there


@pytest.fixture
def widgets(cell: Output, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let it have ipywidgets; what it displays."""
    ipywidgets: Any = types.ModuleType("ipywidgets")
    ipywidgets.HTML = ipywidgets.FloatProgress = ipywidgets.HBox = Widget
    monkeypatch.setitem(sys.modules, "ipywidgets", ipywidgets)
    return cell.displayed


def test_a_notebook_shows_widgets(
    cell: Output, widgets: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    middle: list[Any] = []
    use(lambda: middle.extend(each.value for each in widgets[0].children))
    (shown,) = widgets
    left, progress, right = middle
    assert "rtrl\u2007on\u2007delayed-xor:\u2007\u200770%" in left
    assert progress == 70_000
    assert "loss\u20070.1234" in right
    assert shown.closed
    assert shown.children[1].bar_style != "danger"  # it ended before its time, and that is no failure
    assert cell.texts == []
    assert capsys.readouterr() == ("", "")


def test_what_is_interrupted_stays_there_in_red(widgets: list[Any]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use(interrupt)
    (shown,) = widgets
    assert not shown.closed
    assert shown.children[1].bar_style == "danger"


def test_a_notebook_without_widgets_shows_text(cell: Output, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    shown = [text for text in cell.texts if text]
    assert {len(text) for text in shown} == {79}
    assert all(SAID in text for text in shown[1:])
    assert cell.texts[-1] == ""  # nothing is left at the end
    assert len(cell.displayed) == 1
    assert capsys.readouterr() == ("", "")


def test_ipywidgets_may_be_broken(cell: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "ipywidgets":
                raise AttributeError("an old version of something")

    monkeypatch.delitem(sys.modules, "ipywidgets")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    use()
    assert any(SAID in text for text in cell.texts)


@pytest.mark.parametrize("name", ["QT_API", "SPYDER_ARGS"])
def test_a_console_of_a_kernel_shows_text(
    name: str,
    cell: Output,
    widgets: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, "pyqt5")
    use()
    assert (widgets, cell.texts) == ([], [])
    shown, as_error = capsys.readouterr()
    assert {len(line) for line in lines(shown)} == {79}
    assert SAID in shown
    assert as_error == ""


@pytest.mark.usefixtures("uncompiled")
def test_a_run_in_a_notebook_shows_how_far_it_is(widgets: list[Any]) -> None:
    rnnsim.run("bptt", "delayed-xor", **SMALL)
    assert not widgets
    rnnsim.run("bptt", "delayed-xor", **SMALL, progress=True)
    assert widgets[0].children[1].max == SMALL["steps"]
    assert widgets[0].closed


def test_not_every_process_with_these_modules_is_a_notebook(
    cell: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_kernel()
    for shell in (type("TerminalInteractiveShell", (), {}), lambda: None):
        monkeypatch.setattr(sys.modules["IPython"], "get_ipython", shell)
        assert not in_kernel()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_kernel()


@pytest.mark.usefixtures("uncompiled")
def test_a_run_shows_a_bar_while_its_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rnnsim.data.reading.LARGE", 1)
    path = tmp_path / "t.csv"

    def said(name: str, progress: bool) -> str:
        path.write_text(name + "\n" + "\n".join(str(i * i % 7 + 0.5) for i in range(30)))
        rnnsim.run("bptt", str(path), hidden=1, steps=1, progress=progress)
        return capsys.readouterr().err

    assert "reading t.csv" not in said("a", True)  # there is no terminal
    monkeypatch.setattr("rnnsim.runs.bars.can_be_shown", lambda: True)
    monkeypatch.setattr("rnnsim.runs.bars.terminal_size", lambda _: (80, 24))
    assert "reading t.csv" in said("bb", True)
    assert "reading t.csv" not in said("ccc", False)
