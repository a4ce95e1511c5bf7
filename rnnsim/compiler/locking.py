"""One thread composes or compiles at a time.

Numba holds a lock while it compiles, or loads code from a cache. The same lock is held while kernels are
composed, which registers them with Numba. A fork waits for it too: a child that inherited the lock of
another thread could never compile.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

from rnnsim.compiler.pieces import LOCKING, in_use


@cache
def compiler_lock() -> Any:
    """The lock, which its holder may acquire again."""
    lock: Any = threading.RLock()  # compositions exclude one another, and Numba's compilations do
    if in_use(LOCKING):
        from numba.core.compiler_lock import global_compiler_lock as lock
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
