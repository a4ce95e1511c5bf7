"""Progress bars: on a terminal of whatever width, and in a notebook; elsewhere nothing is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

KERNELS = ("ipykernel.zmqshell", "IPython.utils._process_emscripten")  # modules of Jupyter, JupyterLite
COLUMNS, ROWS = 80, 24  # of a terminal that does not say
MOST_COLUMNS = 10_000
LEAST, FREE = 5, 10  # characters of the bar itself: as few as it may have, and tqdm's where it is free

# From what one would like to read to what one would like to read most.
LAYOUTS = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
    "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
    "{percentage:3.0f}%|{bar}| {remaining}{postfix}",
    "{percentage:3.0f}% {remaining}{postfix}",
    "{percentage:3.0f}%{postfix}",
)

Show = Callable[..., None]


@contextmanager
def bar(total: int, name: str, unit: str, *, shown: bool, done: int = 0) -> Iterator[Show]:
    """Show how much is done, as long as this context lasts.

    Parameters
    ----------
    total : int
        How much there is to do.
    name : str
        What is done, such as ``rtrl on adding``.
    unit : str
        What is counted, such as ``steps``.
    shown : bool
        Whether anything is shown at all.
    done : int
        How much is done already.

    Yields
    ------
    Callable
        ``show(done, text="")``, with a text to stand beside it.
    """
    made = _made(total=total, desc=name, unit=f" {unit}", initial=done, leave=False) if shown else None
    if made is None:
        yield lambda *_: None
        return
    layouts = list(LAYOUTS)

    def show(done: int, text: str = "") -> None:
        made.set_postfix_str(text, refresh=False)
        if made.ncols is not None:
            made.bar_format = _fitting(made, done, layouts)
        made.update(done - made.n)

    with made:
        yield show
        made.total = made.n  # it is over, if perhaps before its time: in a notebook else it turns red


def can_be_shown() -> bool:
    """Whether there is a terminal, or a notebook."""
    return in_kernel() or (sys.stderr is not None and sys.stderr.isatty())


def _made(**about: Any) -> Any:
    """Make the bar that can be shown here; None if there is none."""
    from tqdm import tqdm

    if not can_be_shown():
        return None
    if in_kernel():
        if not is_console() and has_widgets():
            from tqdm.notebook import tqdm as widget

            return widget(**about)
        return tqdm(**about, file=_output_of_kernel(), ncols=COLUMNS - 1, nrows=ROWS - 1)
    columns, rows = terminal_size(sys.stderr)
    return tqdm(**about, file=sys.stderr, ncols=max(1, columns - 1), nrows=max(2, rows - 1))


def _fitting(made: Any, done: int, layouts: list[str]) -> str:
    """The first layout that leaves room for the bar itself; those before it are dropped for good."""
    while len(layouts) > 1:
        values = {**made.format_dict, "n": done, "bar_format": layouts[0], "ncols": None}
        spare = FREE - LEAST if "{bar}" in layouts[0] else 0
        if len(made.format_meter(**values)) - spare <= made.ncols:
            break
        del layouts[0]
    return layouts[0]


def terminal_size(stream: Any) -> tuple[int, int]:
    """The columns and rows of a terminal; those that it does not know are said to be 0.

    Then they are what the variables COLUMNS and LINES say, or else 80 and 24.
    """
    try:
        said: tuple[int, int] = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        said = (0, 0)
    return said[0] or _variable("COLUMNS", COLUMNS), said[1] or _variable("LINES", ROWS)


def _variable(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    return number if 0 < number <= MOST_COLUMNS else otherwise


def in_kernel() -> bool:
    """Whether this is the kernel of a notebook, or of another front end of Jupyter."""
    if not any(module in sys.modules for module in KERNELS):
        return False
    find: Any = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = find() if find else None
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def is_console() -> bool:
    """Whether the front end of the kernel is a console of Qt or Spyder, which shows text alone."""
    return any(name == "QT_API" or name.startswith("SPYDER") for name in os.environ)


def has_widgets() -> bool:
    """Whether a kernel can make the widgets of a notebook."""
    try:
        import ipywidgets  # noqa: F401
    except Exception:  # noqa: BLE001 (not installed, or what is installed does not work: text does)
        return False
    return True


def _output_of_kernel() -> Any:
    """Where a kernel writes text; not standard error, which looks as if something were wrong."""
    return sys.stdout if is_console() else _Line()


class _Line:
    """A line in the output of a notebook in place of all that was written on it, in a saved one too."""

    encoding = "utf-8"

    def __init__(self) -> None:
        from IPython.display import display

        self._shown = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        """Write over the line: text begins with a carriage return."""
        self._shown.update({"text/plain": text.strip()}, raw=True)

    def flush(self) -> None:
        """Nothing is held back."""
