"""The history site, as its reader sees it: ``asv publish``, and a browser that has no network."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from processes import run

pytest.importorskip("asv", reason="the site is asv's")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.remote.webdriver import WebDriver  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium (Debian's package chromium)"),
    pytest.mark.skipif(not DRIVER, reason="no driver of Chromium (Debian's package chromium-driver)"),
]

SWITCHES = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
    "disable-background-networking", "disable-component-update", "disable-dev-shm-usage",
    "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "window-size=1200,1000",
)  # fmt: skip

INSIDE = ("data", "about", "chrome", "chrome-untrusted")  # of the browser itself, as its first page is
FAILED = 2  # how asv ends when a benchmark has failed

# A project with a history: what its benchmarks find changes from commit to commit, and is known.
COSTS = [100.0, 100.0, 100.0, 320.0, 320.0, 330.0]
FAILS = 2  # the commit at which one row fails
HOSTILE = "Slower </script><img src=http://elsewhere.invalid/x.png> & <b>louder</b>"
MESSAGES = [f"Commit number {i}\n\nWhat it does, at length: {i}." for i in range(len(COSTS))]
MESSAGES[3] = HOSTILE
SUITE = """
import work

class Cost:
    params = (["plain", "folded"], [8, 32])
    param_names = ("rule", "n")
    unit = "bytes"

    def track_bytes(self, rule, n):
        return work.cost(rule, n)

class Sum:
    number, repeat, rounds, warmup_time = 1, 3, 1, 0

    def time_sum(self):
        sum(range(10_000))

def track_nothing():
    return 0
"""
WORK = """
def cost(rule, n):
    if {fails} and rule == "folded" and n == 8:
        raise ValueError
    return {cost} * n if rule == "plain" else 7.5 * n
"""


# --- histories, measured and published ---


def command(*words: str, cwd: Path, fine: tuple[int, ...] = (0,), **environment: str) -> str:
    done = run(*words, cwd=cwd, env={**os.environ, **environment})
    assert done.returncode in fine, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


class Asv:
    """asv with one configuration, and a home of its own."""

    def __init__(self, conf: Path, repository: Path, home: Path) -> None:
        self.conf, self.repository, self.home = conf, repository, home
        self("machine", "--yes", "--machine", "tester")

    def __call__(self, *words: str, conf: Path | None = None, **environment: str) -> None:
        command(
            *(sys.executable, "-m", "asv", "--config", str(conf or self.conf), *words),
            cwd=self.home,
            fine=(0, FAILED),
            HOME=str(self.home),
            **environment,
        )

    def measure(self, *words: str) -> None:
        """Measure the code that is checked out."""
        commit = command("git", "rev-parse", "HEAD", cwd=self.repository)
        how = ("-E", "existing:same", "--set-commit-hash", commit, "--machine", "tester")
        code = os.pathsep.join([str(self.repository), str(self.repository / "plugins")])
        self("run", *how, *words, ASV_PYTHONPATH=code)

    def publish(self, name: str, *words: str, conf: Path | None = None) -> Path:
        self("publish", "--html-dir", str(self.home / name), *words, conf=conf)
        return self.home / name


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Asv:
    """Some commits of a small project, each measured by asv."""
    folder = tmp_path_factory.mktemp("history")
    project, suite = folder / "project", folder / "bench"
    project.mkdir()
    suite.mkdir()
    (suite / "__init__.py").write_text(SUITE)
    (folder / "history_site").symlink_to(ROOT / "benchmarks/history_site")
    ours = json.loads((ROOT / "benchmarks/asv.conf.json").read_text())
    ours |= {"repo": "project", "benchmark_dir": "bench", "results_dir": "results"}
    (folder / "asv.conf.json").write_text(json.dumps(ours))
    (folder / "plain.conf.json").write_text(json.dumps({**ours, "plugins": []}))

    git = partial(
        command, "git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", cwd=project
    )
    git("init", "--quiet", "--initial-branch", "main")
    git("commit", "--quiet", "--allow-empty", "--message", "Nothing was measured here")
    git("tag", "begin")
    asv = Asv(folder / "asv.conf.json", project, folder)
    for i, cost in enumerate(COSTS):
        (project / "work.py").write_text(WORK.format(cost=cost, fails=i == FAILS) + f"# {i}\n")
        git("add", "work.py")
        git("commit", "--quiet", "--message", MESSAGES[i])
        asv.measure()
    git("tag", "v1")
    return asv


@pytest.fixture(scope="module")
def site(history: Asv) -> Path:
    return history.publish("site")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    """Chromium, for which no host but this one exists; it keeps a log of its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield opened
    opened.quit()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


# --- what a page shows, and what it asks for ---


def requests(browser: WebDriver) -> list[str]:
    """The addresses that pages have asked for since this was last called, refused ones too."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def foreign(addresses: list[str], home: str) -> list[str]:
    """Those that are neither below ``home`` nor within the page or the browser itself."""
    assert any(address.startswith(home) for address in addresses), "the page itself was not asked for"
    return [a for a in addresses if not a.startswith(home) and urlsplit(a).scheme not in INSIDE]


def published(folder: Path) -> dict[str, Any]:
    """asv's own files: by benchmark and combination of parameters, what was measured at which commit."""
    index = json.loads((folder / "index.json").read_text())
    hashes = {int(revision): commit for revision, commit in index["revision_to_hash"].items()}
    found: dict[str, Any] = {}
    for path in folder.glob("graphs/**/*.json"):
        if path.stem not in index["benchmarks"] or path.parent.name == "summary":
            continue
        combinations = list(product(*index["benchmarks"][path.stem]["params"]))
        rows = [(hashes[r], v if isinstance(v, list) else [v]) for r, v in json.loads(path.read_text())]
        series = (
            {h: float(r[i]) for h, r in rows if r[i] is not None} for i in range(len(combinations))
        )
        found[path.stem] = [one for one in series if one]
    return found


LINES = """
return [...document.querySelectorAll("#benchmarks section")].map(section => [section.id,
  [...section.querySelectorAll(".line")].map(line => ({
    points: [...line.querySelectorAll(".point")].map(point => {
      const box = point.getBoundingClientRect(), frame = point.closest("svg").getBoundingClientRect();
      return [point.dataset.commit, Number(point.dataset.value), (box.left + box.right) / 2,
              (box.top + box.bottom) / 2, frame.top + scrollY, frame.bottom + scrollY];
    }),
    path: line.querySelector("path").getAttribute("d"),
    length: line.querySelector("path").getTotalLength(),
    colour: getComputedStyle(line.querySelector("path")).stroke,
  }))])
"""


def check_drawn(browser: WebDriver, folder: Path) -> dict[str, Any]:
    """Every number that asv has published is a point, at its place on a scale; lines join the points."""
    drawn = dict(browser.execute_script(LINES))
    wanted = published(folder)
    assert drawn, "no line is drawn"
    assert drawn.keys() == wanted.keys(), "not the benchmarks that were measured"
    for name, series in wanted.items():
        # panels are drawn one after the other: the order is another
        points = [{commit: float(value) for commit, value, *_ in line["points"]} for line in drawn[name]]
        assert sorted(map(repr, points)) == sorted(map(repr, series)), f"{name}: not what was measured"
        for line in drawn[name]:
            joined = line["path"].count("M") + line["path"].count("L")
            assert joined == len(line["points"]), f"{name}: a line leaves points out"
            assert len(line["points"]) == 1 or line["length"] > 100, f"{name}: no line is drawn"
            xs = [x for _, _, x, *_ in line["points"]]
            assert xs == sorted(set(xs))
            assert line["colour"] not in ("none", "rgb(0, 0, 0)")
    return drawn


def check_scale(lines: list[dict[str, Any]]) -> None:
    """Heights are those of one logarithmic scale, larger values higher."""
    points = [(v, y - top) for line in lines for _, v, _, y, top, _ in line["points"] if v]
    values, heights = np.log([v for v, _ in points]), np.array([h for _, h in points])
    assert np.ptp(values) > 1
    slope, constant = np.polyfit(values, heights, 1)
    assert slope < 0
    assert np.abs(heights - slope * values - constant).max() < 1.5, "not one logarithmic scale"


# --- tests ---


@pytest.mark.parametrize("where", ["disk", "server"])
def test_the_site_is_drawn_and_asks_no_other_host(browser: WebDriver, site: Path, where: str) -> None:
    with served(site) as address:
        home = f"{site.as_uri()}/" if where == "disk" else address
        browser.get(f"{home}index.html")
        drawn = check_drawn(browser, site)
        assert foreign(requests(browser), home) == []
    check_scale(drawn["Cost.track_bytes"])
    assert len(drawn["Cost.track_bytes"]) == 4
    assert browser.get_log("browser") == []  # no error of a script, nothing refused


def test_asvs_own_page_is_caught_asking_other_hosts(browser: WebDriver, history: Asv) -> None:
    folder = history.publish("plain", conf=history.home / "plain.conf.json")
    with served(folder) as home:
        browser.get(home)
        hosts = {urlsplit(address).hostname for address in foreign(requests(browser), home)}
    assert "code.jquery.com" in hosts
    with pytest.raises(AssertionError, match="no line is drawn"):
        check_drawn(browser, folder)


def test_a_foreign_script_is_noticed_and_refused(browser: WebDriver, site: Path, tmp_path: Path) -> None:
    page = (site / "index.html").read_text()
    script = '<script src="http://elsewhere.invalid/chart.js"></script>'
    (tmp_path / "broken.html").write_text(page.replace("</body>", f"{script}</body>"))
    browser.get((tmp_path / "broken.html").as_uri())
    asked: list[str] = []

    def are_noticed(_: WebDriver) -> list[str]:
        asked.extend(requests(browser))  # which may come after the page is shown
        return foreign(asked, tmp_path.as_uri())

    found = WebDriverWait(browser, 60).until(are_noticed)
    assert found == ["http://elsewhere.invalid/chart.js"]
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_a_site_without_results_says_so_and_draws_no_line(browser: WebDriver, history: Asv) -> None:
    folder = history.publish("empty", "begin")
    browser.get((folder / "index.html").as_uri())
    assert "Nothing has been measured yet" in browser.find_element(By.TAG_NAME, "header").text
    with pytest.raises(AssertionError, match="no line is drawn"):
        check_drawn(browser, folder)


def change_a_value(page: str) -> str:
    return page.replace("[60.0,", "[61.0,").replace("60.0,", "61.0,")


def lose_a_line(page: str) -> str:
    return page.replace('svg("path", { d: path,', 'svg("path", { d: path.slice(0, 12),')


def bend_the_scale(page: str) -> str:
    return page.replace("(Math.log10(value) - floor)", "(value / 1e4 - floor)")


@pytest.mark.parametrize(
    ("breaking", "noticed"),
    [
        (change_a_value, "not what was measured"),
        (lose_a_line, "a line leaves points out"),
        (bend_the_scale, "not one logarithmic scale"),
    ],
)
def test_a_broken_page_is_noticed(
    browser: WebDriver, site: Path, tmp_path: Path, breaking: Callable[[str], str], noticed: str
) -> None:
    page = (site / "index.html").read_text()
    broken = breaking(page)
    assert broken != page
    (tmp_path / "broken.html").write_text(broken)
    browser.get((tmp_path / "broken.html").as_uri())
    with pytest.raises(AssertionError, match=noticed):
        check_scale(check_drawn(browser, site)["Cost.track_bytes"])


def test_the_pointer_brings_commit_and_value_and_a_click_the_message(
    browser: WebDriver, site: Path
) -> None:
    browser.get((site / "index.html").as_uri())
    commit = browser.execute_script("return document.querySelectorAll('.point')[1].dataset.commit")
    point = browser.find_element(
        By.CSS_SELECTOR, f".line[data-line=plain] .point[data-commit='{commit}']"
    )
    ActionChains(browser).move_to_element(point).perform()
    tip = browser.find_element(By.ID, "tip").text
    assert commit[:8] in tip
    assert "Commit number 1" in tip
    assert "plain 800 B" in tip  # 100 bytes times n = 8
    point.click()
    message = browser.find_element(By.CSS_SELECTOR, "#commits li:target").text
    assert "What it does, at length: 1." in message


def test_regressions_failures_and_tags_are_shown(browser: WebDriver, site: Path, history: Asv) -> None:
    browser.get((site / "index.html").as_uri())
    found = json.loads((site / "regressions.json").read_text())["regressions"]
    told = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#regressions li")]
    assert len(told) == len(found) >= 2
    assert sum(item.startswith("\u00d73.2 Cost.track_bytes rule = plain") for item in told) == 2
    guilty = command("git", "rev-parse", "HEAD~2", cwd=history.repository)
    rings = browser.find_elements(By.CSS_SELECTOR, "[id='Cost.track_bytes'] .jump")
    assert len(rings) == 2
    assert all(guilty[:8] in item for item in told if "track_bytes" in item)
    paths = browser.find_elements(By.CSS_SELECTOR, ".line[data-line=folded] path")
    assert sorted(path.get_attribute("d").count("M") for path in paths) == [
        1,
        2,
    ]  # one fails at a commit
    assert "v1" in [tag.text for tag in browser.find_elements(By.CSS_SELECTOR, "svg .tag text")]


def test_a_message_is_text_whatever_it_holds(browser: WebDriver, site: Path) -> None:
    browser.get((site / "index.html").as_uri())
    assert HOSTILE in browser.find_element(By.ID, "commits").text
    assert not browser.find_elements(By.TAG_NAME, "img")


def test_the_numbers_can_be_read_as_a_table(browser: WebDriver, site: Path) -> None:
    browser.get((site / "index.html").as_uri())
    cost = browser.find_element(By.ID, "Cost.track_bytes")
    cost.find_element(By.TAG_NAME, "summary").click()
    first = WebDriverWait(browser, 10).until(lambda _: cost.find_element(By.TAG_NAME, "table"))
    rows = [row.text.split(maxsplit=1)[1] for row in first.find_elements(By.CSS_SELECTOR, "tbody tr")]
    expected = [f"{said(8 * cost)} {'none' if i == FAILS else '60 B'}" for i, cost in enumerate(COSTS)]
    assert rows == expected[::-1]


def said(number: float) -> str:
    return f"{number:g} B" if number < 1000 else f"{number / 1000:g} kB"


def test_this_repositorys_own_site(browser: WebDriver, tmp_path: Path) -> None:
    """Its latest commits, each measured by its own suite."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: there are no commits")
    clone = tmp_path / "clone"
    command("git", "clone", "--quiet", str(ROOT), str(clone), cwd=tmp_path)
    asv = Asv(clone / "benchmarks/asv.conf.json", clone, tmp_path)
    for commit in command("git", "rev-list", "--reverse", "--max-count=2", "HEAD", cwd=clone).split():
        command("git", "checkout", "--quiet", "-B", "main", commit, cwd=clone)
        asv.measure("--bench", r"track_bytes\('bptt'")
    folder = asv.publish("site")
    browser.get((folder / "index.html").as_uri())
    (lines,) = check_drawn(browser, folder).values()
    assert len(lines) >= 2  # n = 8, n = 32
    assert foreign(requests(browser), f"{folder.as_uri()}/") == []
