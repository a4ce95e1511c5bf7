"""Text files, block by block: decompressed, decoded, without lines that are none of the data."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from rnnsim.data.cells import SPREADSHEET_ERRORS
from rnnsim.errors import RnnsimError, shown
from rnnsim.typing import Array

BLOCK = 1 << 24  # bytes; a few of them are in memory at a time
SAMPLE = 1 << 18  # bytes by which a file is told
MARKS = (  # the longer ones first
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
WESTERN = ("cp1252", "latin-1")  # what is tried after UTF-8
WESTERN_BYTES = "rnnsim.western"  # lines that arrive are read so where they are no UTF-8
MOST_IN_QUOTES = 64  # lines over which a cell in quotes may go

Progress = Callable[[int], None]  # how many bytes have been read


class TextSource(NamedTuple):
    """A text file, or bytes that are one.

    Attributes
    ----------
    name : str
        For messages.
    content : Path or bytes
    line : str
        What its lines are called.
    """

    name: str
    content: Path | bytes
    line: str = "line"

    def open(self) -> BinaryIO:
        """Open it for reading from its beginning."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def encoding_of(source: TextSource, given: str) -> str:
    """The encoding of a file by its first bytes.

    Raises
    ------
    RnnsimError
        If it is no text, or there is no encoding of the name that is given.
    """
    if given:
        try:
            return codecs.lookup(given).name
        except (LookupError, ValueError):
            raise RnnsimError(
                f"no encoding is called {shown(given)}; utf-8 and latin-1 are two"
            ) from None
    with source.open() as file:
        start = _piece(source, unpacked(file), SAMPLE)
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    if b"\0" in start:
        counts = [start[i::2].count(b"\0") for i in (0, 1)]
        if max(counts) > 0.3 * len(start) / 2 and min(counts) < 0.05 * len(start) / 2:
            return "utf-16-be" if counts[0] > counts[1] else "utf-16-le"
        raise RnnsimError(f"{source.name} is not a text file, nor of a format that its name tells")
    return "utf-8"


def _piece(source: TextSource, file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RnnsimError(f"{source.name} is broken: {error}") from None


def unpacked(file: BinaryIO) -> BinaryIO:
    """A file as it is, or what is compressed in it; what arrives in a pipe is taken as it arrives."""
    buffered: Any = file if hasattr(file, "peek") else io.BufferedReader(file)
    packed = buffered.peek(2).startswith(b"\x1f\x8b")
    found: Any = gzip.GzipFile(fileobj=buffered) if packed else buffered
    return cast(BinaryIO, found)


def _western(error: UnicodeError) -> tuple[str, int]:
    """What bytes that are no UTF-8 are in the encodings that a file of them is read in."""
    assert isinstance(error, UnicodeDecodeError)
    piece = error.object[error.start : error.end]
    for encoding in WESTERN:
        with contextlib.suppress(UnicodeDecodeError):
            return piece.decode(encoding), error.end
    raise error


codecs.register_error(WESTERN_BYTES, _western)


def decoded(
    source: TextSource, encoding: str, progress: Progress | None = None, size: int | None = None
) -> Iterator[bytes]:
    """Give a file as blocks of UTF-8, each of whole lines, with ``\\n`` at their ends.

    Raises
    ------
    UnicodeDecodeError
        If it is not of the encoding.
    RnnsimError
        If it is broken.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = b""
    with source.open() as file:
        plain = unpacked(file)
        while True:
            piece = _piece(source, plain, size or BLOCK)
            if encoding != "utf-8" or not piece.isascii():
                text = decoder.decode(piece, final=not piece)
                piece, ended = text.encode(), not piece
            else:
                ended = not piece
                if ended:
                    decoder.decode(b"", final=True)
            if progress is not None:
                progress(file.tell())
            block = rest + piece
            if b"\r" in block:
                held = b"\r" * (block.endswith(b"\r") and not ended)
                block = block.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
            if ended:
                if block:
                    yield block if block.endswith(b"\n") else block + b"\n"
                return
            cut = _cut(block)
            rest = block[cut:]
            if cut:
                yield block[:cut]


def _cut(block: bytes) -> int:
    """Where the last whole line ends, a line end inside quotes being none."""
    last = cut = block.rfind(b"\n") + 1
    if b'"' in block and block.count(b'"', 0, cut) % 2:
        for _ in range(MOST_IN_QUOTES):
            cut = block.rfind(b"\n", 0, cut - 1) + 1
            if not cut or block.count(b'"', 0, cut) % 2 == 0:
                break
        else:
            return last  # a quote that is a sign for inches, say
    return cut


def count(block: bytes, mark: bytes) -> int:
    """How often a byte occurs, for one that occurs often: ``bytes.count`` looks for each by itself."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord(mark)))


class Lines(NamedTuple):
    """The lines of a block that hold rows.

    Attributes
    ----------
    block : bytes
    first : int
        The number of the first line of the block.
    numbers : (lines,) array or None
        The number of each, where they are not one after the other.
    """

    block: bytes
    first: int
    numbers: Array | None

    def at(self, i: int) -> int:
        """The number of a line."""
        return self.first + i if self.numbers is None else int(self.numbers[i])


def is_comment(line: str, comment: str) -> bool:
    """Whether a line is a comment, and does not begin with one of the errors of a spreadsheet."""
    begins = bool(comment) and line.startswith(comment)
    return begins and not line.casefold().startswith(SPREADSHEET_ERRORS)


def lines_of(block: bytes, first: int, comment: bytes, spaces: bool) -> Lines:
    """Take out blank lines and comments, and make all spaces between columns one."""
    if spaces:
        block = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", block))
    blank = block[:1].isspace() or b"\n\n" in block or re.search(rb"\n[ \t]+\n", block) is not None
    commented = comment and (block.startswith(comment) or b"\n" + comment in block)
    if not blank and not commented:
        return Lines(block, first, None)
    kept = [
        (first + i, line)
        for i, line in enumerate(block.split(b"\n"))
        if line.strip() and not is_comment(line.decode(), comment.decode())
    ]
    numbers = np.array([number for number, _ in kept], np.int64)
    return Lines(b"".join(line + b"\n" for _, line in kept), first, numbers)
