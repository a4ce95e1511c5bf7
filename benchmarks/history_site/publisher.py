"""The page of the history site: ``asv publish`` gives it, and it asks no other host for anything.

asv's own page loads its scripts from other hosts. asv.conf.json names this module as a plugin, so asv
calls it after its own publishers. It takes asv's page away and writes ``index.html``: one file that
holds style, scripts and data, and opens from a disk as well as from a server. asv's JSON files and its
feed stay.

This folder is no package: asv imports every module of the benchmarks' package in the environment that
it measures, in which there is no asv.
"""

from __future__ import annotations

import ast
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asv
from asv import util
from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.graph import Graph, GraphSet
from asv.plugins.regressions import Regressions
from asv.publishing import OutputPublisher
from asv.repo import Repo

HERE = Path(__file__).parent
ASV_PAGE = Path(asv.__file__).parent / "www"

Json = dict[str, Any]


class HistorySite(OutputPublisher):
    """One page in the place of asv's."""

    name = "history"
    button_label = "History"
    description = "Display each benchmark's history on one page"
    order = Regressions.order + 1  # their file is read

    @classmethod
    def publish(
        cls,
        conf: Config,
        repo: Repo,
        benchmarks: Benchmarks,
        graphs: GraphSet,
        revisions: Mapping[str, int],
    ) -> None:
        folder = Path(conf.html_dir)
        take_away(ASV_PAGE, folder)
        history = collect(conf, repo, benchmarks, graphs, revisions)
        (folder / "index.html").write_text(page(history), encoding="utf-8")


def take_away(copied: Path, folder: Path) -> None:
    """Remove from a folder what was copied into it from another."""
    for path in (folder / original.name for original in copied.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# --- what the page shows ---


def collect(
    conf: Config,
    repo: Repo,
    benchmarks: Benchmarks,
    graphs: GraphSet,
    revisions: Mapping[str, int],
) -> Json:
    """All that the page knows. A commit is said by its place among those that were measured."""
    measured = [graph for _, graph in graphs if "summary" not in graph.params and graph.get_data()]
    revised = {revision for graph in measured for revision, *_ in graph.get_data()}
    hashes = {revision: commit for commit, revision in revisions.items() if revision in revised}
    place = {revision: i for i, revision in enumerate(sorted(revised))}
    names = sorted({graph.benchmark_name for graph in measured})
    return {
        "project": conf.project,
        "commitUrl": conf.show_commit_url,
        "hashLength": conf.hash_length,
        "commits": commits(Path(conf.repo), [hashes[revision] for revision in place], repo.get_tags()),
        "benchmarks": [description(benchmarks[name]) for name in names],
        "graphs": [series(graph, place) for graph in measured],
        "regressions": list(regressions(Path(conf.html_dir), measured, place)),
    }


def commits(repository: Path, hashes: list[str], tags: Mapping[str, str]) -> list[Json]:
    """Date and message of each commit."""
    if not hashes:
        return []
    told = subprocess.run(
        ["git", "log", "-z", "--no-walk=unsorted", "--format=%H%n%at%n%s%n%b", *hashes, "--"],
        cwd=repository, check=True, capture_output=True, encoding="utf-8", errors="replace",
    ).stdout  # fmt: skip
    found = {}
    for entry in filter(None, told.split("\0")):
        commit, date, subject, body = entry.split("\n", 3)
        named = sorted(tag for tag, tagged in tags.items() if tagged == commit)
        found[commit] = {
            "hash": commit, "date": int(date), "subject": subject, "body": body.strip(), "tags": named,
        }  # fmt: skip
    return [found[commit] for commit in hashes]


def description(benchmark: Json) -> Json:
    """A benchmark's names, its unit and its parameters."""
    names, values = benchmark["param_names"], benchmark["params"]
    return {
        "name": benchmark["name"],
        "title": benchmark.get("pretty_name") or benchmark["name"],
        "unit": benchmark["unit"],
        "parameters": [{"name": name, "values": plain(of)} for name, of in zip(names, values)],
    }


def plain(values: Iterable[str]) -> list[str]:
    """The values of a parameter as one says them: asv keeps each one's ``repr``."""
    return [str(ast.literal_eval(value)) if value[:1] in "'\"" else value for value in values]


def series(graph: Graph, place: Mapping[int, int]) -> Json:
    """A benchmark under one set of conditions: a row a commit, a value a combination of parameters."""
    rows = [(place[revision], values) for revision, values, *_ in graph.get_data()]
    return {
        "benchmark": graph.benchmark_name,
        "conditions": graph.params,
        "rows": [
            [commit, [finite(value) for value in (values if isinstance(values, list) else [values])]]
            for commit, values in rows
        ],
    }


def finite(value: float | None) -> float | None:
    """The value, where there is one: what failed and what was skipped has none."""
    return value if value is not None and math.isfinite(value) else None


def regressions(folder: Path, measured: list[Graph], place: Mapping[int, int]) -> Iterator[Json]:
    """What asv found, each with its latest jump; the latest first."""
    number = {f"{graph.path}.json": i for i, graph in enumerate(measured)}
    found = util.load_json(str(folder / "regressions.json"))["regressions"]
    for _, path, _, line, last, _, jumps in sorted(found, key=lambda entry: -entry[-1][-1][1]):
        before, at, old, new = jumps[-1]
        yield {
            "graph": number[path], "line": line or 0, "before": place.get(before), "at": place[at],
            "old": old, "new": new, "last": last,
        }  # fmt: skip


# --- the page ---


def page(history: Json) -> str:
    """The page with its style, its scripts and its data inside."""
    text = (HERE / "page.html").read_text(encoding="utf-8")
    text = re.sub(r'<link rel="stylesheet" href="(.+?)">', lambda link: within("style", link[1]), text)
    text = re.sub(r'<script src="(.+?)"></script>', lambda link: within("script", link[1]), text)
    data = json.dumps(history, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")
    return text.replace("null</script>", f"{data}</script>")


def within(tag: str, name: str) -> str:
    return f"<{tag}>\n{(HERE / name).read_text(encoding='utf-8')}</{tag}>"
