"""The page of the history site: ``asv publish`` writes it, and it loads nothing from other hosts.

asv's own page loads its scripts from other hosts. asv.conf.json lists this module as a plugin, so that
asv calls it after its own publishers. It replaces asv's page by one ``index.html`` that contains style,
scripts and data, and that opens from a disk as well as from a server. asv's JSON files and its feed are
kept.

This folder is not a package: asv imports every module of the benchmarks' package in the environment
that it measures, where asv is not installed.
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
    """A single page in place of asv's."""

    name = "history"
    button_label = "History"
    description = "Display each benchmark's history on one page"
    order = Regressions.order + 1  # after the file of regressions is written

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
        remove_copied(ASV_PAGE, folder)
        history = collect(conf, repo, benchmarks, graphs, revisions)
        (folder / "index.html").write_text(page(history), encoding="utf-8")


def remove_copied(copied: Path, folder: Path) -> None:
    """Remove from ``folder`` the entries that were copied into it from ``copied``."""
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
    """Collect the page's data, in which a commit is its index among those that were measured."""
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
    """Date, message and tags of each commit."""
    if not hashes:
        return []
    log = subprocess.run(
        ["git", "log", "-z", "--no-walk=unsorted", "--format=%H%n%at%n%s%n%b", *hashes, "--"],
        cwd=repository, check=True, capture_output=True, encoding="utf-8", errors="replace",
    ).stdout  # fmt: skip
    found = {}
    for entry in filter(None, log.split("\0")):
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
    """The values of a parameter as plain text, where asv stores each one's ``repr``."""
    return [str(ast.literal_eval(value)) if value[:1] in "'\"" else value for value in values]


def series(graph: Graph, place: Mapping[int, int]) -> Json:
    """A benchmark's results in one environment: a row per commit, a value per parameter combination."""
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
    """The value, or None if the benchmark failed or was skipped."""
    return value if value is not None and math.isfinite(value) else None


def regressions(folder: Path, measured: list[Graph], place: Mapping[int, int]) -> Iterator[Json]:
    """The regressions that asv detected, each with its latest jump, the latest first."""
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
    """The page with style, scripts and data inlined."""
    text = (HERE / "page.html").read_text(encoding="utf-8")
    text = re.sub(r'<link rel="stylesheet" href="(.+?)">', lambda link: within("style", link[1]), text)
    text = re.sub(r'<script src="(.+?)"></script>', lambda link: within("script", link[1]), text)
    data = json.dumps(history, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")
    return text.replace("null</script>", f"{data}</script>")


def within(tag: str, name: str) -> str:
    return f"<{tag}>\n{(HERE / name).read_text(encoding='utf-8')}</{tag}>"
