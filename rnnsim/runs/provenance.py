"""Where a run comes from: versions, plugins, the machine, dates, and the revision of the user's code."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata

import msgspec
import numpy as np

from rnnsim import registry
from rnnsim.compiler.machine import described_processor
from rnnsim.training.experiment import Experiment
from rnnsim.version import __version__

PATIENCE = 2.0  # seconds for git to answer
PROGRAMS = ("python", "numpy", "numba", "rnnsim")  # among the versions; others are of plugins


class Provenance(msgspec.Struct):
    """Where a run comes from.

    Attributes
    ----------
    versions : dict of str
        Of Python, NumPy, Numba, rnnsim, and each distribution that the rule, the task or the network
        comes from.
    cpu, system : str
    cores : int
    began : datetime
    saved : datetime or None
        When the folder was written last.
    resumed : list of datetime or None
    revision : str
        The commit of the git repository that the current folder is in, with ``-dirty`` if files differ
        from it; empty where there is none.
    """

    versions: dict[str, str] = {}
    cpu: str = ""
    system: str = ""
    cores: int = 0
    began: datetime | None = None
    saved: datetime | None = None
    resumed: list[datetime] | None = None
    revision: str = ""


def provenance_of(experiment: Experiment) -> Provenance:
    """Where a run that begins now comes from."""
    return Provenance(
        versions=versions(experiment),
        cpu=_processor(),
        system=platform.platform(),
        cores=os.cpu_count() or 0,
        began=now(),
        revision=_revision(),
    )


def now() -> datetime:
    """The present time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def versions(experiment: Experiment) -> dict[str, str]:
    """Of Python, NumPy, Numba, rnnsim, and the packages of the rule, the task and the network."""
    known = registry.installed()
    entries = (
        known.rules.get(experiment.rule.name),
        known.tasks.get(experiment.task.name),
        known.networks.get(experiment.network.kind),
    )
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": metadata.version("numba"),  # which is not imported before its settings are looked at
        **{entry.distribution: entry.version for entry in entries if entry},
        "rnnsim": __version__,
    }


def plugin_versions(experiment: Experiment) -> dict[str, str]:
    """Of the packages of the rule, the task and the network that are not rnnsim's own."""
    return {name: said for name, said in versions(experiment).items() if name not in PROGRAMS}


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", described_processor(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _revision() -> str:
    """What git says of the current folder; nothing where there is no repository, no commit or no git."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
