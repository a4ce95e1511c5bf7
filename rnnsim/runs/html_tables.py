"""What a notebook shows of a result: a small table, and a picture beneath it.

Whatever is in a table may come from a plugin or the user, and is escaped. No colours are set but those
of the picture: a notebook may be light or dark.
"""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnsim.errors import RnnsimError

SIZE = (480, 330)  # pixels of a picture: text in it is about as large as that of the notebook
INCH = 96  # pixels
SHARP = 2  # pixels of the file for each that is shown, as good screens have more

LEFT = 'style="text-align: left; vertical-align: top"'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Format names and values as a table of two columns."""
    return _table("", [(name, [value]) for name, value in rows], LEFT)


def grid(title: str, rows: Sequence[tuple[str, Mapping[str, str]]], what: str = "") -> str:
    """Format labelled rows as a table below a title, leaving out columns without any entry.

    ``what`` is the heading of the labels.
    """
    columns = [name for name in rows[0][1] if any(row[name] for _, row in rows)]
    head = "".join(f"<th {LEFT}>{html.escape(cell)}</th>" for cell in (what, *columns))
    cells = [(label, [row[name] for name in columns]) for label, row in rows]
    return f"<div><b>{html.escape(title)}</b></div>" + _table(f"<thead><tr>{head}</tr></thead>", cells)


def lines(texts: Sequence[str]) -> str:
    """Format texts as paragraphs."""
    return "".join(f"<div>{html.escape(text)}</div>" for text in texts)


def _table(head: str, rows: Sequence[tuple[str, Sequence[str]]], style: str = "") -> str:
    lines = [
        f"<tr><th {LEFT}>{html.escape(label)}</th>"
        + "".join(f"<td {style}>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for label, cells in rows
    ]
    return f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"


def picture(draw: Callable[[], Any], what: str, size: tuple[int, int] = SIZE) -> str:
    """Draw a figure of matplotlib and give it as an image that is part of the page.

    Without matplotlib, or if it fails, that is a line that says why: a notebook has to show something.

    Parameters
    ----------
    draw : Callable
        Gives the figure.
    what : str
        What it shows, for those who cannot see it.
    size : tuple of int
        Width and height in pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a font that lacks a letter, say
            content = _drawn(draw(), size)
    except RnnsimError as error:
        return f"<p>{html.escape(str(error))}</p>"
    except Exception as error:  # noqa: BLE001 (matplotlib may be old, or configured in any way)
        return f"<p>{html.escape(f'the {what} cannot be drawn: {type(error).__name__}: {error}')}</p>"
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(what)}" width="{size[0]}" src="data:image/png;base64,{data}">'


def _drawn(figure: Any, size: tuple[int, int]) -> bytes:
    figure.set_size_inches(*(pixels / INCH for pixels in size))
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=SHARP * INCH)
    return file.getvalue()
