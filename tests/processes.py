"""Other processes, each of which has an end."""

from __future__ import annotations

import subprocess
from typing import Any

LIMIT = 600  # seconds; what they compile takes some tens of them on a busy machine


def run(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and keep what it prints."""
    kept = {"capture_output": True, "text": True, "check": False, "timeout": LIMIT}
    done: subprocess.CompletedProcess[str] = subprocess.run(words, **{**kept, **how})
    return done
