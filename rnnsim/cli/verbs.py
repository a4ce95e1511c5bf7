"""The verbs of the command line, each a module of its own with a ``command``.

A module imports at its top no more than its ``--help`` needs: all of them are read to list the verbs.
"""

from __future__ import annotations

VERBS = ("run", "sweep", "rules", "tasks", "compile", "cache", "bench")
