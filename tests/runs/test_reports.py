"""What is said of results as plain data, as JSON and in a notebook."""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec
import numpy as np
import pytest

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.runs import html_tables
from rnnsim.runs.plain_data import as_json, plain
from rnnsim.training.best import Best
from rnnsim.training.evaluation import Evaluation
from rnnsim_tasks.delayed_xor import DelayedXor

pytestmark = pytest.mark.usefixtures("uncompiled")

SMALL: dict[str, Any] = {"hidden": 2, "window": 6, "steps": 90, "optimizer": "sgd"}


class Hostile(DelayedXor, frozen=True):
    """A task whose name is part of neither HTML nor the mathematics of matplotlib."""

    name = '<b>$\\frac{"&$'


@cache
def run_of(task: Any = "delayed-xor", **choices: Any) -> rnnsim.Run:
    return rnnsim.run("bptt", task, **{**SMALL, **choices})


@cache
def a_comparison() -> Any:
    return rnnsim.compare(["bptt", "rtrl"], "delayed-xor", **SMALL)


def numbers(value: Any) -> Iterator[Any]:
    """Whatever is neither a mapping nor a list."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    else:
        yield value


# --- plain data ----------------------------------------------------------------------------------------


def test_what_is_not_plain_becomes_so() -> None:
    class Option(msgspec.Struct):
        size: float = math.inf

    value = {"a": (1, np.float32(0.5), np.int64(3), math.nan, -math.inf), 2: np.array([[1.0, np.nan]]),
             "b": [True, np.bool_(False), None, "<\ud800"], "c": Option(), "d": 1j}  # fmt: skip
    expected = {"a": [1, 0.5, 3, None, None], "2": [[1.0, None]], "b": [True, False, None, "<\ud800"],
                "c": {"size": None}, "d": "1j"}  # fmt: skip
    assert plain(value) == expected
    text = as_json(value)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text, parse_constant=pytest.fail) == expected


def test_numbers_that_are_not_strict_would_be_noticed() -> None:
    """The control."""
    with pytest.raises(pytest.fail.Exception):
        json.loads(json.dumps({"loss": math.nan}), parse_constant=pytest.fail)


def test_a_run_as_data_is_what_the_run_says() -> None:
    run = run_of(seed=3, learning_rate=0.05, clip=math.inf, d=1, monitor="spectral-radius")
    found = run.as_dict()
    assert json.loads(as_json(found)) == found
    assert (found["rule"], found["task"], found["network"]) == ("bptt", "delayed-xor", "recurrent")
    assert found["options"]["task"] == {"d": 1}
    assert found["options"]["network"].startswith("RecurrentNetwork(n_in=2, n_hidden=2, ")
    experiment = run.experiment
    assert found["settings"] == {
        "name": "default", "steps": 90, "window": 6, "batch": experiment.batch, "clip": None,
        "weight_decay": 0.0, "reduction": "sum", "stop": True, "tailored": False, "keep": "last",
        "keep_every": 6, "patience": 0, "dtype": "float64", "optimizer": "sgd", "learning_rate": 0.05,
        "schedule": "constant", "schedule_steps": None,
    }  # fmt: skip
    assert found["seed"] == 3
    assert found["criterion"] == str(experiment.criterion)
    assert found["baseline"] == experiment.task.baseline
    assert (found["steps"], found["seconds"], found["loss"]) == (run.steps, run.seconds, run.loss)
    assert found[found["score"]] == found["error"] == run.held_out.score
    assert found["steps_per_second"] == pytest.approx(run.steps / run.seconds)
    assert (found["solved_at"], found["best"], found["spectral_radius"]) == (None, None, None)
    radius = run.metrics["spectral-radius"]
    assert found["monitored"] == {"spectral-radius": {
        "first": radius[0], "first_step": int(run.metrics["monitor_step"][0]),
        "last": radius[-1], "last_step": 90,
    }}  # fmt: skip
    assert found["versions"]["rnnsim"] == rnnsim.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert {"python", "numba"} <= set(found["versions"])


def test_what_a_run_may_lack_is_null() -> None:
    run = replace(run_of(), solved_at=70, held_out=Evaluation(math.inf, math.nan, 0.5),
                  best=Best(40, 0.25, run_of().params))  # fmt: skip
    found = run.as_dict()
    assert (found["loss"], found["error"], found["spectral_radius"]) == (None, None, 0.5)
    assert (found["solved_at"], found["best"]) == (70, {"step": 40, "loss": 0.25})
    assert all(math.isfinite(each) for each in numbers(found) if isinstance(each, float))


def test_rates_of_parameters_are_told_one_by_one() -> None:
    rates = {"W": 0.1, "U": np.full((2, 2), 0.5), "b": 0.0, "V": 0.2, "c": 0.2}
    found = run_of.__wrapped__(learning_rate=rates).as_dict()["settings"]["learning_rate"]
    assert set(found) == set(rates)
    assert np.max(found["U"]) == 0.5
    of_sweep = rnnsim.sweep("bptt", "delayed-xor", 1, learning_rate=rates, **SMALL)
    assert (of_sweep.outcomes, of_sweep.cells[0].learning_rate) == ({"complete": 1}, None)
    assert "learning rate" not in of_sweep.summary()


# --- in a notebook -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The cells of tables row by row, the pictures, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pictures: list[dict[str, Any]] = []
        self.words, self.open, self.tags = "", list[str](), set[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


def page(result: Any) -> Page:
    found = Page(result._repr_html_())
    assert found.open == []
    return found


def shown_picture(found: Page) -> bytes:
    (picture,) = found.pictures
    kind, _, data = picture["src"].partition(",")
    assert kind == "data:image/png;base64"
    return base64.b64decode(data, validate=True)


def width_of(png: bytes) -> int:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20], "big")


def test_a_run_is_a_table_with_its_curve() -> None:
    pytest.importorskip("matplotlib")
    run = run_of(monitor="spectral-radius")
    found = page(run)
    told = dict(found.rows)
    assert (told["rule"], told["task"], told["seed"]) == ("bptt", "delayed-xor", "0")
    assert (told["solved at step"], told["steps"]) == ("not solved", "90")
    assert told["loss per target"] == f"{run.loss:.4g} (best constant answer 0.125)"
    assert told["error"] == f"{run.held_out.score:.4g}"
    assert told["steps per second"] == f"{run.steps_per_second:,.0f}"
    assert told["spectral-radius"].count(" to ") == 1
    assert found.pictures[0]["width"] == "480"
    assert width_of(shown_picture(found)) == 960
    assert dict(page(replace(run, solved_at=1234)).rows)["solved at step"] == "1,234"
    text = run._repr_html_()
    assert "background" not in text
    assert "color" not in text.partition("<img")[0]  # those of the notebook, be it light or dark


def test_the_curve_is_that_of_the_run() -> None:
    pytest.importorskip("matplotlib")
    run = run_of()
    other = replace(run, metrics={**run.metrics, "loss": run.metrics["loss"] * 2})
    assert shown_picture(page(run)) == shown_picture(page(replace(run)))
    assert shown_picture(page(run)) != shown_picture(page(other))


def test_names_are_not_taken_for_html_nor_for_mathematics() -> None:
    pytest.importorskip("matplotlib")
    run = run_of.__wrapped__(Hostile(), monitor={"<i>\u4f60": "spectral-radius"})
    found = page(run)
    assert dict(found.rows)["task"] == Hostile.name
    assert "<i>\u4f60" in dict(found.rows)
    assert not {"b", "i"} & found.tags
    assert shown_picture(found)
    swept = page(rnnsim.sweep("bptt", Hostile(), 1, **SMALL))
    assert Hostile.name in swept.rows[1]
    assert found.tags | {"div", "b", "thead"} >= swept.tags
    assert shown_picture(swept)
    compared = page(replace(a_comparison(), rules=("<i>$\\frac{$", "rtrl")))
    assert compared.rows[1][0] == "<i>$\\frac{$"
    assert shown_picture(compared)


def test_without_matplotlib_there_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = page(run_of())
    assert found.pictures == []
    assert dict(found.rows)["rule"] == "bptt"
    assert found.words.endswith("figures need matplotlib: pip install 'rnnsim[plot]'")


def test_a_curve_without_points_is_none() -> None:
    found = page(run_of(steps=1))
    assert found.pictures == []
    assert dict(found.rows)["learning curve"] == "no step with a target yet"


def test_whatever_fails_in_a_picture_is_a_line() -> None:
    for error in (ZeroDivisionError("<oh>"), RnnsimError("<oh>")):

        def draw(error: Exception = error) -> None:
            raise error

        found = Page(html_tables.picture(draw, "curve"))
        assert "<oh>" in found.words
        assert found.tags == {"p"}


def test_comparisons_are_tables() -> None:
    pytest.importorskip("matplotlib")
    compared = page(a_comparison())
    assert [row[0] for row in compared.rows] == ["when it leads", "bptt", "rtrl"]
    assert width_of(shown_picture(compared)) == 1760
