"""The verbs of the command line; each is a module of that name with a click ``command``.

At its top a module imports only what its ``--help`` needs, as listing the verbs imports all of them.
"""

from __future__ import annotations

VERBS = (
    "run", "resume", "predict", "evaluate", "plot", "sweep", "summary", "compare", "rules", "tasks",
    "check", "compile", "cache", "bench", "new-rule", "new-task", "new-network",
)  # fmt: skip
