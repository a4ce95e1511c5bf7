"""How messages are put together: names that are near, values in one line, memory that is lacking."""

from __future__ import annotations

import errno
import mmap
from typing import Any

import numpy as np
import pytest
from odd_values import ITSELF, Shy, Unreadable

from rnnsim import RnnsimError, checks
from rnnsim.arrays import aligned_zeros
from rnnsim.errors import NotEnoughMemory, nearest, reports_memory, shown, shown_path

RULES = ("bptt", "fast-weights-1", "fast-weights-2", "recurrent-backprop", "rtrl", "rtrl-block",
         "truncated-bptt")  # fmt: skip
OTHERS = ("adam", "momentum", "rmsprop", "sgd", "softmax-cross-entropy", "squared-error", "delayed-xor")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("btpp", "bptt"), ("bptt ", "bptt"), ("BPTT", "bptt"), ("rtlr", "rtrl"),
        ("rtrl_block", "rtrl-block"), ("truncated", "truncated-bptt"),
        ("backprop", "recurrent-backprop"),
        ("fast-weights", "fast-weights-1 or fast-weights-2"), ("adamm", "adam"), ("rms-prop", "rmsprop"),
        ("square", "squared-error"), ("cross-entropy", "softmax-cross-entropy"), ("xor", "delayed-xor"),
    ],
)  # fmt: skip
def test_a_name_that_is_near_is_suggested(name: str, near: str) -> None:
    assert nearest("thing", name, [*RULES, *OTHERS]).endswith(f"; did you mean {near}?")


@pytest.mark.parametrize(
    "name", ["random", "lstm", "rnn", "x", "", "sigmoid", "weight-decay", 3, None, []]
)
def test_a_name_that_is_not_near_is_not(name: Any) -> None:
    said = nearest("thing", name, [*RULES, *OTHERS])
    assert "did you mean" not in said
    assert "; there are adam, bptt, " in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "'x'"), (3, "3"), (None, "None"), (1.5, "1.5"), ([1, 2], "[1, 2]"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "array([[1., 2.], [3., 4.]])"),
        ("two\nlines", r"'two\nlines'"), ("\ud800", r"'\ud800'"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_it_is_written(value: Any, said: str) -> None:
    assert shown(value) == said


@pytest.mark.parametrize(
    "value",
    [Shy(), 10**5000, "x" * 10**6, [[[1.0] * 99] * 99] * 99, np.zeros((99, 99)), ITSELF, object()],
    ids=lambda value: type(value).__name__,
)
def test_whatever_it_is_it_is_shown_in_a_short_line(value: Any) -> None:
    assert 0 < len(shown(value)) <= 70
    assert shown(value).isprintable()


def test_a_path_is_shown_as_it_is_where_it_can_be_read() -> None:
    assert shown_path("a folder/file.csv") == "a folder/file.csv"
    assert shown_path("two\nlines") == r"'two\nlines'"
    assert shown_path("") == "''"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 1j], "must be an array of real numbers, not of complex128"),
        (np.array([1.0], object), "must be an array of real numbers, not of object"),
        (["a"], "must be an array of real numbers, not of strings"),
        ("a", "must be an array of real numbers, not 'a'"),
        (None, "must be an array of real numbers, not None"),
        ([[1], [1, 2]], "cannot be read as an array of real numbers: its rows have different lengths"),
        ([[10**400, 1]], "must be an array of real numbers, not of integers beyond 64 bits"),
        (np.ma.masked_equal([1, 2], 2), "is a masked array with masked entries; fill them"),
        ([1.0, np.ma.masked], "is a masked array with masked entries; fill them"),
        ([[np.ma.masked_equal([1, 2], 2)]], "is a masked array with masked entries; fill them"),
        (Unreadable(), "cannot be read as an array of real numbers: call detach() first,"),
        ([1e300], "holds 1e+300, which is too large for float32"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_real_numbers_is_refused_by_name(given: Any, said: str) -> None:
    with pytest.raises(RnnsimError) as caught:
        checks.numbers("x", given, np.float32)
    assert str(caught.value).startswith(f"x {said}")


@pytest.mark.parametrize(
    "given",
    [[1, 2], (True, False), range(2), np.arange(2, dtype=">i4"), np.ma.array([1, 2]), np.float16([1, 2]),
     [np.float64(1), 2], memoryview(b"ab"), np.longdouble([1, 2]), np.uint64([1, 2])],
)  # fmt: skip
def test_any_real_numbers_are_taken(given: Any) -> None:
    """The control: nothing is refused for where numbers come from."""
    taken = checks.numbers("x", given, np.dtype("float32"))
    assert (taken.dtype, taken.shape) == (np.dtype("float32"), (2,))
    np.testing.assert_array_equal(taken, np.asarray(given))


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 7 TiB"), MemoryError(), OSError(errno.ENOMEM, "no memory"),
     ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger than possible")],
    ids=repr,
)  # fmt: skip
def test_memory_that_is_lacking_is_said_in_one_way(error: Exception) -> None:
    @reports_memory
    def allocate() -> None:
        raise error

    with pytest.raises(
        NotEnoughMemory, match=r"^not enough memory: .*; smaller sizes need less$"
    ) as caught:
        allocate()
    assert isinstance(caught.value, RnnsimError)
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.ENOSPC, "full"), RnnsimError("x")], ids=repr
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    """The control."""

    @reports_memory
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fails()
    assert caught.value is error


@pytest.mark.parametrize("shape", [(10**8, 10**8), (10**30,), (2**40, 2**20)])
def test_an_array_that_is_too_large_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotEnoughMemory, match=r"an array of \S+ bytes cannot be allocated"):
        aligned_zeros(shape, np.float64)


def test_mmap_that_fails_is_no_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", fails)
    with pytest.raises(NotEnoughMemory):
        aligned_zeros((10**6,), np.float64)
