"""Start-up times: the import, loading machine code from the cache, and compilation.

Each sample is measured in a new Python process.
"""

from __future__ import annotations

from .choices import RULES, task_for

RUN = """
import rnnsim
rnnsim.run({rule!r}, {task!r}, steps=100, stop=False)
"""

COLD = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    os.environ["RNNSIM_CACHE_DIR"] = folder
    {run}
"""


class Import:
    """``import rnnsim`` in a new process."""

    warmup_time = 0.0
    repeat = 3
    number = 1

    def timeraw_import(self) -> str:
        return "import rnnsim"


class FirstRun:
    """The first short run in a process, with kernels from the cache."""

    params = RULES
    param_names = ("rule",)
    warmup_time = 0.0
    repeat = 1
    number = 1
    rounds = 1
    timeout = 600

    def setup(self, rule: str) -> None:
        self.code = RUN.format(rule=rule, task=task_for(rule)).strip()
        exec(self.code, {})  # fills the cache

    def timeraw_cached(self, rule: str) -> str:
        return self.code


class ColdRun:
    """The first run with an empty cache: everything is compiled."""

    params = RULES
    param_names = ("rule",)
    warmup_time = 0.0
    repeat = 1
    number = 1
    rounds = 1
    timeout = 600

    def timeraw_cold(self, rule: str) -> str:
        run = RUN.format(rule=rule, task=task_for(rule)).strip()
        return COLD.format(run=run.replace("\n", "\n    ")).strip()
